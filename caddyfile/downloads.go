package caddyfile

import (
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
)

// checksumWords are the words of the block of checksums.
var checksumWords = words{
	"sums":   (*directive).sums,
	"hashes": (*directive).hashes,
}

func (d *directive) checksums() (err error) {
	d.handler.Checksums = new(files.Checksums)
	d.handler.Checksums.Off, err = d.isOff(checksumWords)
	return err
}

func (d *directive) sums() (err error) {
	checksums := d.handler.Checksums
	if checksums.Sums, err = d.value("<name>"); err != nil {
		return err
	}
	if err := checksums.Check(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

func (d *directive) hashes() error {
	names, err := d.names("<hash>...", computed.CheckHash)
	for _, name := range names {
		d.handler.Checksums.Hashes = append(d.handler.Checksums.Hashes, computed.Hash(name))
	}
	return err
}

func (d *directive) selects() error {
	names, err := d.names("latest|semver|"+off, files.CheckSelector)
	if err != nil {
		return err
	}
	if slices.Contains(names, off) && len(names) > 1 {
		return d.Errf("select has %s beside other words: write %s alone", off, off)
	}
	for _, name := range names {
		d.handler.Select = append(d.handler.Select, files.Selector(name))
	}
	return nil
}

func (d *directive) archive() error {
	text, err := d.value(off)
	if err != nil {
		return err
	}
	if text != off {
		return d.Errf("archive is %q: write %s, or leave the line out for archives", text, off)
	}
	d.handler.ArchiveOff = true
	return nil
}

// draftWords are the words of the block of drafts.
var draftWords = words{
	"ttl": (*directive).draftTTL,
	"max": (*directive).maxDrafts,
}

func (d *directive) drafts() (err error) {
	d.handler.Drafts = new(files.Drafts)
	d.handler.Drafts.Off, err = d.isOff(draftWords)
	return err
}

func (d *directive) draftTTL() (err error) {
	d.handler.Drafts.TTL, err = d.duration("7d", "7d")
	return err
}

func (d *directive) maxDrafts() (err error) {
	d.handler.Drafts.Max, err = d.number("100")
	return err
}
