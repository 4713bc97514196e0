package caddyfile

import (
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// ownerWords are the words of an owner's block.
var ownerWords = words{
	"read":         (*directive).read,
	"write":        (*directive).write,
	"delete":       (*directive).delete,
	"on_duplicate": (*directive).onDuplicate,
	"immutable":    (*directive).immutable,
	"quota":        (*directive).quota,
	"max_versions": (*directive).maxVersions,
	"max_files":    (*directive).maxFiles,
	"package":      (*directive).packages,
	"webhook":      (*directive).webhook,
}

// packageWords are those of a package's block in it.
var packageWords = words{
	"read":         (*directive).read,
	"write":        (*directive).write,
	"delete":       (*directive).delete,
	"on_duplicate": (*directive).onDuplicate,
	"immutable":    (*directive).immutable,
}

// owner reads a block of rules into the handler's last rule.
func (d *directive) owner() error {
	var name string
	if !d.Args(&name) || d.NextArg() || !d.opensBlock() {
		return d.Errf("owner has one name and a block: the form is owner <name>|* { ... }")
	}
	if err := access.CheckRuleOwner(name); err != nil {
		return d.Errf("owner %q: %w", name, err)
	}
	if first, twice := d.owners[store.Fold(name)]; twice {
		return d.Errf("owner %s has a block already, at %s: make it one block", name, first)
	}
	d.owners[store.Fold(name)] = d.position()

	// Made here so that it has the line of the owner, not that of the brace.
	empty := d.Errf("owner %s has no rule: use one of %s in its block", name, list(ownerWords))
	d.handler.Owners = append(d.handler.Owners, access.OwnerRule{Owner: name})
	rule := d.rule()
	around := d.republishing
	d.lines, d.republishing = &rule.Permissions, &rule.Republishing
	hooks := len(d.webhooks)
	err := d.block("owner", ownerWords, "package", "webhook")
	d.republishing = around
	if err != nil {
		return err
	}
	switch {
	case !rule.IsEmpty():
		return nil
	case len(d.webhooks) == hooks:
		return empty
	}
	if d.handler.Owners = d.handler.Owners[:len(d.handler.Owners)-1]; len(d.handler.Owners) == 0 {
		d.handler.Owners = nil
	}
	return nil
}

// rule is the one being read.
func (d *directive) rule() *access.OwnerRule {
	return &d.handler.Owners[len(d.handler.Owners)-1]
}

// packages reads a block of rules for some of the owner's packages.
func (d *directive) packages() error {
	var pattern string
	if !d.Args(&pattern) || d.NextArg() || !d.opensBlock() {
		return d.Errf("package has one pattern and a block: the form is package <pattern> { ... }")
	}
	if _, err := access.CheckPackagePattern(pattern); err != nil {
		return d.Err(err.Error())
	}
	empty := d.Errf("package %s has no rule: use one of %s in its block", pattern, list(packageWords))
	narrowed := access.PackageRule{Package: pattern}
	lines, republishing := d.lines, d.republishing
	d.lines, d.republishing = &narrowed.Permissions, &narrowed.Republishing
	err := d.block("package", packageWords)
	d.lines, d.republishing = lines, republishing
	if err != nil {
		return err
	}
	if narrowed.IsEmpty() {
		return empty
	}
	d.rule().Packages = append(d.rule().Packages, narrowed)
	return nil
}

const principalsForm = "<principal>..., each a user name, *, @users, @owner or @group:<name>"

func (d *directive) read() (err error) {
	d.lines.Read, err = d.names(principalsForm, access.CheckPrincipal)
	return err
}

func (d *directive) write() (err error) {
	d.lines.Write, err = d.names(principalsForm, access.CheckPrincipal)
	return err
}

func (d *directive) delete() (err error) {
	d.lines.Delete, err = d.names(principalsForm, access.CheckPrincipal)
	return err
}

func (d *directive) quota() (err error) {
	d.rule().Quota, err = d.size()
	return err
}

func (d *directive) maxVersions() error {
	number, err := d.number("no limit")
	d.rule().MaxVersions = int64(number)
	return err
}

func (d *directive) maxFiles() error {
	number, err := d.number("no limit")
	d.rule().MaxFiles = int64(number)
	return err
}
