package caddyfile

import (
	"math"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module"
)

// resumableWords are the words of the block of resumable.
var resumableWords = words{
	"max_append": (*directive).maxAppend,
	"ttl":        (*directive).uploadTTL,
	"max":        (*directive).maxResumable,
}

// resumable reads how uploads may come in several requests: a block, or off.
func (d *directive) resumable() error {
	const form = "resumable off, or resumable with a block"
	d.handler.Resumable = new(module.Resumable)
	switch values := d.RemainingArgs(); {
	case len(values) == 1 && values[0] == off:
		d.handler.Resumable.Off = true
		return nil
	case len(values) > 0:
		return d.Errf("unexpected %q after resumable: the form is %s", values[0], form)
	case !d.opensBlock():
		return d.Errf("resumable has no value: the form is %s", form)
	}
	return d.block("resumable", resumableWords)
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

func (d *directive) uploadTTL() error {
	text, err := d.value("<duration>")
	if err != nil {
		return err
	}
	ttl, err := caddy.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return d.Errf("ttl %q is not for how long an upload may go on: write a duration such as 24h", text)
	}
	d.handler.Resumable.TTL = caddy.Duration(ttl)
	return nil
}

func (d *directive) maxResumable() (err error) {
	d.handler.Resumable.Max, err = d.number()
	return err
}
