package caddyfile

import (
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	metadataNamespace = "generic_registry.metadata"
	blobsNamespace    = "generic_registry.blobs"

	largestSize = 1 << 62
)

func (d *directive) root() (err error) {
	d.handler.Root, err = d.value("<dir>")
	return err
}

func (d *directive) prefix() error {
	prefix, err := d.value("<path>")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(prefix, "/") && !strings.HasPrefix(prefix, "{") {
		return d.Errf("prefix %q does not begin with /", prefix)
	}
	d.handler.Prefix = prefix
	return nil
}

func (d *directive) maxFileSize() error {
	text, err := d.value("<size>")
	if err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > largestSize {
		return d.Errf("max_file_size %q is not a size: write one such as 2GiB, or leave the line out for no limit", text)
	}
	d.handler.MaxFileSize = int64(size)
	return nil
}

func (d *directive) fileNames() error {
	const form = "documented|gitea"
	text, err := d.value(form)
	if err != nil {
		return err
	}
	switch names := registry.FileNames(text); names {
	case registry.FileNamesDocumented, registry.FileNamesGitea:
		d.handler.FileNames = names
		return nil
	}
	return d.Errf("unknown file names %q: write file_names %s", text, form)
}

func (d *directive) metadata() (err error) {
	d.handler.MetadataRaw, err = d.guest(metadataNamespace)
	return err
}

func (d *directive) blobs() (err error) {
	d.handler.BlobsRaw, err = d.guest(blobsNamespace)
	return err
}

func (d *directive) admin() error {
	users, err := d.values("<user>...")
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := module.CheckUser(user); err != nil {
			return d.Errf("admin: %v", err)
		}
	}
	d.handler.Admins = users
	return nil
}
