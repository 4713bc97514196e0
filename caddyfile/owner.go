package caddyfile

import (
	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// ownerWords are the words of an owner's block.
var ownerWords = words{
	"read":  (*directive).read,
	"write": (*directive).write,
}

// owner reads a block of rules into the handler's last rule.
func (d *directive) owner() error {
	var name string
	if !d.Args(&name) || d.NextArg() || !d.opensBlock() {
		return d.Errf("owner has one name and a block: the form is owner <name>|* { ... }")
	}
	if err := module.CheckRuleOwner(name); err != nil {
		return d.Errf("owner %q: %w", name, err)
	}
	if first, twice := d.owners[registry.Fold(name)]; twice {
		return d.Errf("owner %s has a block already, at %s: make it one block", name, first)
	}
	d.owners[registry.Fold(name)] = d.position()

	// Made here so that it has the line of the owner, not that of the brace.
	empty := d.Errf("owner %s has no rule: write read <principal>... or write <principal>... into its block", name)
	d.handler.Owners = append(d.handler.Owners, module.OwnerRule{Owner: name})
	if err := d.block("owner", ownerWords); err != nil {
		return err
	}
	if rule := d.rule(); rule.Read == nil && rule.Write == nil {
		return empty
	}
	return nil
}

// rule is the one being read.
func (d *directive) rule() *module.OwnerRule {
	return &d.handler.Owners[len(d.handler.Owners)-1]
}

const principalsForm = "<principal>..., each a user name, *, @users or @owner"

func (d *directive) read() (err error) {
	d.rule().Read, err = d.names(principalsForm, module.CheckPrincipal)
	return err
}

func (d *directive) write() (err error) {
	d.rule().Write, err = d.names(principalsForm, module.CheckPrincipal)
	return err
}
