package caddyfile

import (
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
)

// checksumWords are the words of the block of checksums.
var checksumWords = words{
	"sums":   (*directive).sums,
	"hashes": (*directive).hashes,
}

func (d *directive) checksums() error {
	d.handler.Checksums = new(files.Checksums)
	if d.opensBlock() {
		return d.block("checksums", checksumWords)
	}
	text, err := d.value(off)
	if err != nil {
		return err
	}
	if text != off {
		return d.Errf("checksums is %q: write %s, or a block of %s", text, off, list(checksumWords))
	}
	d.handler.Checksums.Off = true
	return nil
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

func (d *directive) drafts() error {
	d.handler.Drafts = new(files.Drafts)
	if d.opensBlock() {
		return d.block("drafts", draftWords)
	}
	text, err := d.value(off)
	if err != nil {
		return err
	}
	if text != off {
		return d.Errf("drafts is %q: write %s, or a block of %s", text, off, list(draftWords))
	}
	d.handler.Drafts.Off = true
	return nil
}

func (d *directive) draftTTL() error {
	text, err := d.value("<duration>")
	if err != nil {
		return err
	}
	ttl, err := caddy.ParseDuration(text)
	if err != nil || ttl <= 0 {
		return d.Errf("ttl %q is not a duration: write one such as 7d, or leave the line out for 7d", text)
	}
	d.handler.Drafts.TTL = caddy.Duration(ttl)
	return nil
}

func (d *directive) maxDrafts() (err error) {
	d.handler.Drafts.Max, err = d.number()
	return err
}
