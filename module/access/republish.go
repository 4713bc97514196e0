package access

import (
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// OnDuplicate is what a publish under a name that is taken does.
type OnDuplicate string

const (
	// OnDuplicateReject refuses it with 409.
	OnDuplicateReject OnDuplicate = "reject"
	// OnDuplicateSame takes it when the bytes are those that were published.
	OnDuplicateSame OnDuplicate = "same"
	// OnDuplicateReplace has the new bytes take the name.
	OnDuplicateReplace OnDuplicate = "replace"
)

// CheckOnDuplicate reports a word that is not what a publish can do.
func CheckOnDuplicate(word string) error {
	if _, known := onDuplicates[OnDuplicate(word)]; !known {
		return fmt.Errorf("%q is not what a publish under a name that is taken can do: write %s, %s or %s", word, OnDuplicateReject, OnDuplicateSame, OnDuplicateReplace)
	}
	return nil
}

var onDuplicates = map[OnDuplicate]store.OnDuplicate{
	OnDuplicateReject:  store.Reject,
	OnDuplicateSame:    store.Same,
	OnDuplicateReplace: store.Replace,
}

// Republishing says what may happen to files that are published already. What is left out
// is that of the surrounding rule: a package's is its owner's, an owner's is that of owner
// `*`, and that one's is the handler's.
type Republishing struct {
	// What a publish under a name that is taken does. `reject` is 409. `same` is 201 when
	// the bytes are those that were published, else 409. `replace` is `same`, and has other
	// bytes take the name at once; it needs the right to write, not that to delete. Default:
	// `reject`. Placeholders do not work.
	OnDuplicate OnDuplicate `json:"on_duplicate,omitempty"`

	// Whether only admins may delete what is published, and replace it where OnDuplicate is
	// `replace`; for others that is `same` then. New files are published and drafts are
	// changed as elsewhere. Default: false.
	Immutable *bool `json:"immutable,omitempty"`
}

// IsZero tells whether nothing is said.
func (r Republishing) IsZero() bool { return r == Republishing{} }

// ErrNobodyReplaces: what one block says contradicts itself.
var ErrNobodyReplaces = errors.New("on_duplicate replace does nothing beside immutable, because there is no admin: write an admin, or on_duplicate same")

// Check reports a word that is unknown, and a block that contradicts itself.
func (r Republishing) Check(hasAdmins bool) error {
	if r.OnDuplicate == "" {
		return nil
	}
	if err := CheckOnDuplicate(string(r.OnDuplicate)); err != nil {
		return fmt.Errorf("on_duplicate: %w", err)
	}
	if r.OnDuplicate == OnDuplicateReplace && r.Immutable != nil && *r.Immutable && !hasAdmins {
		return ErrNobodyReplaces
	}
	return nil
}

// republishing is Republishing after what it leaves out is filled in.
type republishing struct {
	onDuplicate store.OnDuplicate
	immutable   bool
}

// within fills in what is left out from the surrounding rule.
func (r Republishing) within(around republishing) republishing {
	if r.OnDuplicate != "" {
		around.onDuplicate = onDuplicates[r.OnDuplicate]
	}
	if r.Immutable != nil {
		around.immutable = *r.Immutable
	}
	return around
}

// IsImmutable tells whether only admins may delete or replace what is published in a
// package.
func (a *Rules) IsImmutable(owner, pkg string) bool {
	return a.of(store.Fold(owner)).forPackage(store.Fold(pkg)).immutable
}

// Republishing tells what a publish of somebody does in a package where the name is taken, and
// whether what is published there is immutable for them.
func (a *Rules) Republishing(who Subject, owner, pkg string) (onDuplicate store.OnDuplicate, immutable bool) {
	found := a.of(store.Fold(owner)).forPackage(store.Fold(pkg))
	return found.onDuplicate, found.immutable && !a.isAdmin(who)
}
