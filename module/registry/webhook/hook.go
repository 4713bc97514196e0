// Package webhook sends the changes of a registry to receivers, over HTTP, in the form of
// Gitea's webhooks of the event package.
//
// Each hook reads the changes after its bookmark from the metadata store, one after the other,
// and sends one request for each that it is about, until the receiver has taken it. So
// changes are told at least once and in their order, a publish waits for no receiver, and
// what was not told yet is told after a crash. What a hook still needs is held in the store
// up to a limit of age and number; what is beyond is given up, which is counted.
package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Limits of what is kept for a receiver, when nobody says.
const (
	DefaultMaxAge    = 7 * 24 * time.Hour
	DefaultMaxBehind = 1_000_000
)

// AnyOwner is the owner of a hook for all owners that no other hook is for.
const AnyOwner = "*"

// Hook is a receiver of some changes.
type Hook struct {
	// Owner whose packages it is about, without case, or AnyOwner.
	Owner string
	// URL that is sent to, with http or https.
	URL string
	// Shown is the URL for administrators, without what is secret in it.
	Shown string
	// Secret that signs each request. Empty is none.
	Secret string
	// Site is the URL of the registry's prefix for links, without a slash at its end. Empty
	// is no links.
	Site string
	// NotCreated and NotDeleted leave changes out.
	NotCreated, NotDeleted bool
	// AllowPrivate lets requests go to addresses that are not public.
	AllowPrivate bool
	// MaxAge is how old a change may become that the receiver does not take, MaxBehind how
	// many changes may have come after it.
	MaxAge    time.Duration
	MaxBehind uint64
}

// ID tells a hook from every other of a registry. It has no secret.
func (h Hook) ID() string {
	sum := sha256.Sum256([]byte(store.Fold(h.Owner) + "\n" + h.URL))
	return hex.EncodeToString(sum[:6])
}

// scoped is a hook with the owners that others are for.
type scoped struct {
	Hook
	others map[string]bool // folded; of a hook for any owner
}

// scope finds out which owners each hook is for.
func scope(hooks []Hook) map[string]*scoped {
	others := make(map[string]bool)
	for _, hook := range hooks {
		others[store.Fold(hook.Owner)] = true
	}
	all := make(map[string]*scoped, len(hooks))
	for _, hook := range hooks {
		all[hook.ID()] = &scoped{hook, others}
	}
	return all
}

// wants tells whether a hook is about a change, and what the change did.
func (s *scoped) wants(change store.Change) (action string, wants bool) {
	switch change.Operation {
	case store.OperationPublish, store.OperationPublishDraft:
		action, wants = created, !s.NotCreated
	case store.OperationDeleteFile, store.OperationDeleteVersion, store.OperationDeletePackage:
		action, wants = deleted, !s.NotDeleted
	}
	if !wants || change.Draft {
		return action, false // nobody else sees a draft
	}
	owner := store.Fold(change.Owner)
	if s.Owner == AnyOwner {
		return action, !s.others[owner]
	}
	return action, owner == store.Fold(s.Owner)
}

// isTooOld tells whether a change is given up, and why.
func (s *scoped) isTooOld(change store.Change, last uint64, now time.Time) bool {
	return now.Sub(change.Time) > s.MaxAge || last-min(last, change.Sequence) >= s.MaxBehind
}
