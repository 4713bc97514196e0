package caddyfile

import (
	"github.com/generic-registry/caddy-generic-registry/module/access"
)

func (d *directive) onDuplicate() error {
	text, err := d.value("reject|same|replace")
	if err != nil {
		return err
	}
	if err := access.CheckOnDuplicate(text); err != nil {
		return d.Errf("on_duplicate: %w", err)
	}
	d.republishing.OnDuplicate = access.OnDuplicate(text)
	d.noteContradiction()
	return nil
}

func (d *directive) immutable() error {
	is := true
	if d.NextArg() {
		if d.Val() != off || d.NextArg() {
			return d.Errf("unexpected %q: the form is immutable [%s]; %s undoes the line of a surrounding block", d.Val(), off, off)
		}
		is = false
	}
	d.republishing.Immutable = &is
	d.noteContradiction()
	return nil
}

// noteContradiction remembers where a block contradicts itself, unless there is an admin,
// who may be written later.
func (d *directive) noteContradiction() {
	if d.republishing.Check(false) != nil {
		d.contradictions = append(d.contradictions, *d.Dispenser)
	}
}

// checkRepublishing reports the first block that contradicts itself.
func (d *directive) checkRepublishing() error {
	if len(d.handler.Admins) > 0 || len(d.contradictions) == 0 {
		return nil
	}
	return d.contradictions[0].WrapErr(access.ErrNobodyReplaces)
}
