package caddyfile

import (
	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// ownerWords are the words of an owner's block.
var ownerWords = map[string]func(*directive) error{
	"read":  (*directive).read,
	"write": (*directive).write,
}

// owner reads a block of rules into the handler's last rule.
func (d *directive) owner() error {
	if !d.NextArg() {
		return d.Errf("write owner <name> or owner *, and a block")
	}
	name := d.Val()
	if d.NextArg() {
		return d.Errf("unexpected %q: write one owner, and a block for each", d.Val())
	}
	if name != "*" {
		if err := registry.CheckOwner(name); err != nil {
			return d.Errf("owner %q: %v", name, err)
		}
	}
	if first, twice := d.owners[registry.Fold(name)]; twice {
		return d.Errf("owner %s has a block on line %d already: make it one", name, first)
	}
	d.owners[registry.Fold(name)] = d.Line()
	d.handler.Owners = append(d.handler.Owners, module.OwnerRule{Owner: name})
	if err := d.block("owner", ownerWords); err != nil {
		return err
	}
	if rule := d.rule(); rule.Read == nil && rule.Write == nil {
		return d.Errf("owner %s has no rule: write read or write into its block", name)
	}
	return nil
}

// rule is the one being read.
func (d *directive) rule() *module.OwnerRule {
	return &d.handler.Owners[len(d.handler.Owners)-1]
}

func (d *directive) read() (err error) {
	d.rule().Read, err = d.principals()
	return err
}

func (d *directive) write() (err error) {
	d.rule().Write, err = d.principals()
	return err
}

func (d *directive) principals() ([]string, error) {
	words, err := d.values("<user>|*|@users|@owner...")
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		if err := module.CheckPrincipal(word); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	return words, nil
}
