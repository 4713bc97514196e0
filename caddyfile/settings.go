package caddyfile

import (
	"math"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
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
	// What a placeholder stands for is known when the config is loaded.
	if !strings.HasPrefix(prefix, "/") && !strings.HasPrefix(prefix, "{") {
		return d.Errf("prefix %q does not begin with /", prefix)
	}
	d.handler.Prefix = prefix
	return nil
}

func (d *directive) admin() (err error) {
	d.handler.Admins, err = d.names("<user>...", module.CheckUser)
	return err
}

func (d *directive) maxFileSize() error {
	text, err := d.value("<size>")
	if err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return d.Errf("max_file_size %q is not a size that can be a limit: write one such as 2GiB, or leave the line out for no limit", text)
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
	return d.Errf("unknown file names %q: the form is file_names %s", text, form)
}
