package caddyfile

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

func (d *directive) root() (err error) {
	d.handler.Root, err = d.value("<dir>")
	return err
}

func (d *directive) prefix() (err error) {
	d.handler.Prefix, err = d.path()
	return err
}

func (d *directive) health() (err error) {
	d.handler.Health, err = d.path()
	d.atHealth = *d.Dispenser
	return err
}

func (d *directive) api() (err error) {
	d.handler.API, err = d.path(api.Off)
	d.atAPI = *d.Dispenser
	return err
}

func (d *directive) releases() error {
	word := d.Val()
	if d.NextArg() {
		return d.Errf("unexpected %q: %s has no value; leave the line out to show no releases", d.Val(), word)
	}
	d.handler.Releases = true
	d.atReleases = *d.Dispenser
	return nil
}

// path reads a path of URLs, or one of the words that may stand in its place.
func (d *directive) path(otherwise ...string) (string, error) {
	word := d.Val()
	form := strings.Join(append([]string{"<path>"}, otherwise...), "|")
	path, err := d.value(form)
	if err != nil || slices.Contains(otherwise, path) {
		return path, err
	}
	// What a placeholder stands for is known when the config is loaded.
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "{") {
		return "", d.Errf("%s %q does not begin with /: the form is %s %s", word, path, word, form)
	}
	if err := visit.CheckPathHasNoPattern(word, path); err != nil {
		return "", d.Err(err.Error())
	}
	if _, err := visit.ParsePrefix(word, path); err != nil && !strings.Contains(path, "{") {
		return "", d.Err(err.Error())
	}
	return path, nil
}

func (d *directive) admin() (err error) {
	d.handler.Admins, err = d.names("<user>...", access.CheckUser)
	return err
}

func (d *directive) user() (err error) {
	d.handler.User, err = d.claim()
	return err
}

func (d *directive) groups() (err error) {
	d.handler.Groups, err = d.claim()
	return err
}

// trusted stands before a placeholder that reads what the client itself sends.
const trusted = "trusted"

// claim reads a placeholder that says something of the user.
func (d *directive) claim() (*access.Claim, error) {
	word, values := d.Val(), d.RemainingArgs()
	claim := new(access.Claim)
	if len(values) == 2 && values[0] == trusted {
		claim.Trusted, values = true, values[1:]
	}
	if len(values) != 1 {
		return nil, d.Errf("%s has one placeholder: the form is %s [%s] <placeholder>", word, word, trusted)
	}
	claim.Placeholder = values[0]
	if _, err := access.CheckClaim(*claim); err != nil {
		return nil, d.Errf("%s: %w", word, err)
	}
	return claim, nil
}

func (d *directive) maxFileSize() (err error) {
	d.handler.MaxFileSize, err = d.size()
	return err
}

func (d *directive) maxUploads() (err error) {
	d.handler.MaxUploads, err = d.number("no limit")
	return err
}

func (d *directive) maxUserUploads() (err error) {
	d.handler.MaxUserUploads, err = d.number("no limit")
	return err
}

func (d *directive) uploadStallTimeout() (err error) {
	d.handler.UploadStallTimeout, err = d.duration("30s", "the server's own")
	return err
}

// duration reads a duration that is a limit. Without the line there is another one.
func (d *directive) duration(such, without string) (caddy.Duration, error) {
	word := d.Val()
	text, err := d.value("<duration>")
	if err != nil {
		return 0, err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration <= 0 {
		return 0, d.Errf("%s %q is not a duration that can be a limit: write one such as %s, or leave the line out for %s", word, text, such, without)
	}
	return caddy.Duration(duration), nil
}

// size reads a size that is a limit.
func (d *directive) size() (int64, error) {
	word := d.Val()
	text, err := d.value("<size>")
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return 0, d.Errf("%s %q is not a size that can be a limit: write one such as 2GiB, or leave the line out for no limit", word, text)
	}
	return int64(size), nil
}

// off in place of a rate turns off what has it.
const off = "off"

func (d *directive) scrub() (err error) {
	d.handler.ScrubRate, err = d.rate("bytes that may be read per second", "8MiB")
	return err
}

func (d *directive) uploadLeastRate() (err error) {
	d.handler.UploadLeastRate, err = d.rate("bytes that must come per second", "1KiB")
	return err
}

// rate reads a rate of something, or off.
func (d *directive) rate(of, such string) (int64, error) {
	word := d.Val()
	text, err := d.value("<rate>|" + off)
	if err != nil {
		return 0, err
	}
	if text == off {
		return -1, nil
	}
	rate, err := humanize.ParseBytes(text)
	if err != nil || rate == 0 || rate > math.MaxInt64 {
		return 0, d.Errf("%s %q is not a rate: write the %s, such as %s, or %s", word, text, of, such, off)
	}
	return int64(rate), nil
}

func (d *directive) verifyReads() error {
	word := d.Val()
	if d.NextArg() {
		return d.Errf("unexpected %q: %s has no value; leave the line out to not verify", d.Val(), word)
	}
	d.handler.VerifyReads = true
	return nil
}

func (d *directive) browse() error {
	const form = "browse [<template dir>]"
	d.handler.Browse = new(module.Browse)
	if !d.NextArg() {
		return nil
	}
	if d.handler.Browse.Templates = d.Val(); d.Val() == "" {
		return d.Errf("the value of browse is empty: the form is %s; leave the value out for the built-in pages", form)
	}
	if d.NextArg() {
		return d.Errf("browse has at most one value: the form is %s", form)
	}
	return nil
}

// number reads a number that is a limit. Without the line there is another one.
func (d *directive) number(without string) (int, error) {
	word := d.Val()
	text, err := d.value("<number>")
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(text)
	if err != nil || number <= 0 {
		return 0, d.Errf("%s %q is not a number that can be a limit: write one such as 100, or leave the line out for %s", word, text, without)
	}
	return number, nil
}

func (d *directive) fileNames() error {
	const form = "documented|gitea"
	text, err := d.value(form)
	if err != nil {
		return err
	}
	switch names := naming.FileNames(text); names {
	case naming.Documented, naming.Gitea:
		d.handler.FileNames = names
		return nil
	}
	return d.Errf("unknown file names %q: the form is file_names %s", text, form)
}
