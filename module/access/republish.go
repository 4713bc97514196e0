package access

import (
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// OnDuplicate is what happens to a publish of a file that the version contains already.
type OnDuplicate string

const (
	// OnDuplicateReject refuses the publish with 409.
	OnDuplicateReject OnDuplicate = "reject"
	// OnDuplicateSame accepts the publish when the bytes are the published ones.
	OnDuplicateSame OnDuplicate = "same"
	// OnDuplicateReplace replaces the published bytes.
	OnDuplicateReplace OnDuplicate = "replace"
)

// CheckOnDuplicate reports a word that is not an OnDuplicate.
func CheckOnDuplicate(word string) error {
	if _, known := onDuplicates[OnDuplicate(word)]; !known {
		return fmt.Errorf("%q is no value of on_duplicate: write %s, %s or %s", word, OnDuplicateReject, OnDuplicateSame, OnDuplicateReplace)
	}
	return nil
}

var onDuplicates = map[OnDuplicate]store.OnDuplicate{
	OnDuplicateReject:  store.Reject,
	OnDuplicateSame:    store.Same,
	OnDuplicateReplace: store.Replace,
}

// Republishing says what may happen to files that are published already. A setting that is
// left out is taken from the surrounding rule: that of the owner for a package, that of owner
// `*` for an owner, that of the handler for owner `*`.
type Republishing struct {
	// What happens to a publish of a file that the version contains already. `reject` is
	// 409. `same` is 201 when the bytes are the published ones, and 409 when they differ.
	// `replace` is 201, and the file has the new bytes at once; the user needs the right to
	// write, not the right to delete. Default: `reject`. Placeholders do not work.
	OnDuplicate OnDuplicate `json:"on_duplicate,omitempty"`

	// Whether only admins may delete published files, and replace them where OnDuplicate is
	// `replace`. For other users `replace` then means `same`. New files can be published, and
	// drafts can be changed, as without this setting. Default: false.
	Immutable *bool `json:"immutable,omitempty"`
}

// IsZero tells whether no setting is there.
func (r Republishing) IsZero() bool { return r == Republishing{} }

// ErrNobodyReplaces is the error of a block with settings that contradict each other.
var ErrNobodyReplaces = errors.New("on_duplicate replace does nothing beside immutable, because there is no admin: write an admin, or on_duplicate same")

// Check reports an unknown word, and settings that contradict each other.
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

// republishing is Republishing with all settings filled in.
type republishing struct {
	onDuplicate store.OnDuplicate
	immutable   bool
}

// within takes settings that are left out from the surrounding rule.
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
