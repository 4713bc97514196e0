package caddyfile

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module"
)

func (d *directive) cache() error {
	const public, form = "public", "cache public [<max age>]"
	d.handler.Cache = new(module.Cache)
	if !d.NextArg() || d.Val() != public {
		return d.Errf("cache needs the word public: the form is %s", form)
	}
	if !d.NextArg() {
		return nil
	}
	text := d.Val()
	age, err := caddy.ParseDuration(text)
	if err != nil || age < time.Second {
		return d.Errf("cache %s %q is not a duration of a second or more: write one such as 1h", public, text)
	}
	d.handler.Cache.MaxAge = caddy.Duration(age)
	if d.NextArg() {
		return d.Errf("unexpected %q: the form is %s", d.Val(), form)
	}
	return nil
}

func (d *directive) errors() error {
	text, err := d.value(module.ErrorsRoute)
	if err != nil {
		return err
	}
	if text != module.ErrorsRoute {
		return d.Errf("errors is %q: write %s, or leave the line out", text, module.ErrorsRoute)
	}
	d.handler.Errors = text
	return nil
}
