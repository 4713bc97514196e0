package caddyfile

import (
	"math"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module"
)

// resumableWords are the words of the block of resumable.
var resumableWords = words{
	"max_append": (*directive).maxAppend,
	"ttl":        (*directive).uploadTTL,
	"max":        (*directive).maxResumable,
	"max_user":   (*directive).maxUserResumable,
}

// resumable reads how uploads may come in several requests: a block, or off.
func (d *directive) resumable() (err error) {
	d.handler.Resumable = new(module.Resumable)
	d.handler.Resumable.Off, err = d.isOff(resumableWords)
	return err
}

func (d *directive) maxAppend() error {
	text, err := d.value("<size>|" + off)
	if err != nil {
		return err
	}
	if text == off {
		d.handler.Resumable.MaxAppend = -1
		return nil
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return d.Errf("max_append %q is not a size: write what one request may append, such as 95MiB, or off", text)
	}
	d.handler.Resumable.MaxAppend = int64(size)
	return nil
}

func (d *directive) uploadTTL() (err error) {
	d.handler.Resumable.TTL, err = d.duration("24h", "24h")
	return err
}

func (d *directive) maxResumable() (err error) {
	d.handler.Resumable.Max, err = d.number("1000")
	return err
}

func (d *directive) maxUserResumable() (err error) {
	d.handler.Resumable.MaxUser, err = d.number("a tenth of max")
	return err
}
