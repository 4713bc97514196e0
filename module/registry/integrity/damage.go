package integrity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// DamageKind says what is wrong with a blob.
type DamageKind string

// What can be wrong with a blob.
const (
	// DamageMissing: there are no bytes.
	DamageMissing DamageKind = "missing"
	// DamageSize: there are more or fewer bytes than were published.
	DamageSize DamageKind = "wrong size"
	// DamageDigest: the bytes have another SHA-256.
	DamageDigest DamageKind = "wrong digest"
	// DamageUnreadable: the store cannot read the bytes. It may later.
	DamageUnreadable DamageKind = "unreadable"
)

// Damage is a blob that is not what was published.
type Damage struct {
	Kind DamageKind
	store.Blob
	// Found is what is there instead, for administrators. Empty for nothing.
	Found string
}

// isWrong tells whether there are bytes, and not those that were published.
func (d Damage) isWrong() bool { return d.Kind == DamageSize || d.Kind == DamageDigest }

// maxDamage bounds how many damaged blobs a registry remembers one by one.
const maxDamage = 10_000

// damageSet is the damage that a registry knows of. All methods may run
// concurrently.
type damageSet struct {
	mu    sync.Mutex
	known map[store.Digest]Damage

	// Damaged blobs beyond maxDamage: beyond counts those of the last pass that ended,
	// counting those of the pass in progress.
	beyond, counting int64
}

// Add tells whether the damage was not known and is now.
func (s *damageSet) Add(d Damage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[d.Digest]
	switch {
	case found && known.Locator == d.Locator:
		return false
	case !found && len(s.known) >= maxDamage:
		s.counting++
		return false
	case s.known == nil:
		s.known = make(map[store.Digest]Damage)
	}
	s.known[d.Digest] = d
	return true
}

// has tells whether the blob at a locator is known to be damaged.
func (s *damageSet) has(blob store.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[blob.Digest]
	return found && known.Locator == blob.Locator
}

// forget forgets the damage of the blob at a locator and tells whether there was
// some.
func (s *damageSet) forget(blob store.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[blob.Digest]
	if !found || known.Locator != blob.Locator {
		return false
	}
	delete(s.known, blob.Digest)
	return true
}

// replaced is forget for a blob that has taken the place of a damaged one.
func (s *damageSet) replaced(by store.Blob) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, found := s.known[by.Digest]
	if !found || known.Locator == by.Locator {
		return false
	}
	delete(s.known, by.Digest)
	return true
}

// gone forgets blobs whose bytes nothing refers to any more.
func (s *damageSet) gone(locators []store.Locator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == 0 {
		return
	}
	reaped := make(map[store.Locator]bool, len(locators))
	for _, locator := range locators {
		reaped[locator] = true
	}
	maps.DeleteFunc(s.known, func(_ store.Digest, d Damage) bool { return reaped[d.Locator] })
}

// begin starts to count anew what there is no room for, as a pass over all blobs
// does; end makes that the count.
func (s *damageSet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counting = 0
}

func (s *damageSet) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beyond = s.counting
}

// summary returns how many blobs are damaged, and the first digests in order.
func (s *damageSet) summary(limit int) (count int64, digests []store.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digests = slices.SortedFunc(maps.Keys(s.known), func(a, b store.Digest) int { return bytes.Compare(a[:], b[:]) })
	return int64(len(s.known)) + max(s.beyond, s.counting), digests[:min(limit, len(digests))]
}

// Report looks again at a blob that seems to be damaged: it may have been deleted,
// or replaced, since it was looked up. If it is damaged, wrong bytes are put aside,
// so that nobody gets them and a publish of the same content brings the blob back.
func (k *Keeper) Report(ctx context.Context, d Damage) (damaged bool, err error) {
	if named, err := k.isNamed(ctx, d.Blob); err != nil || !named {
		return false, err
	}
	// First of all, so that no publish shares the blob from now on.
	fresh := k.damage.Add(d)
	var quarantineErr error
	if d.isWrong() {
		quarantineErr = k.blobs.Quarantine(ctx, d.Locator)
	}
	// A delete or a publish that came in between found no damage to forget.
	if named, err := k.isNamed(ctx, d.Blob); err == nil && !named {
		k.damage.forget(d.Blob)
		return false, nil
	}
	if fresh || quarantineErr != nil {
		k.logDamage(ctx, d, quarantineErr)
	}
	return true, nil
}

// isNamed tells whether a blob is still that of its digest.
func (k *Keeper) isNamed(ctx context.Context, blob store.Blob) (bool, error) {
	known, err := k.metadata.FindBlob(ctx, blob.Digest)
	if errors.Is(err, store.ErrBlobNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for blob again: %w", err)
	}
	return known.Locator == blob.Locator, nil
}

func (k *Keeper) logDamage(ctx context.Context, d Damage, quarantineErr error) {
	attrs := []slog.Attr{
		slog.String("damage", string(d.Kind)), slog.String("digest", d.Digest.String()),
		slog.String("locator", string(d.Locator)), slog.Int64("size", d.Size), slog.String("found", d.Found),
	}
	if d.isWrong() {
		attrs = append(attrs, slog.Bool("quarantined", quarantineErr == nil))
	}
	if quarantineErr != nil {
		attrs = append(attrs, slog.Any("error", quarantineErr))
	}
	k.log.LogAttrs(ctx, slog.LevelError, "blob is damaged", attrs...)
}

// NoteDamage deals with what a reader ran into. What cannot be judged now is left
// to the scrub.
func (k *Keeper) NoteDamage(ctx context.Context, blob store.Blob, err error) {
	if ctx.Err() != nil {
		return
	}
	// Whether the client stays does not matter to the blob.
	ctx, cancel := store.Settled(ctx)
	defer cancel()
	damage, err := k.Judge(ctx, blob, err)
	if err == nil {
		_, err = k.Report(ctx, damage)
	}
	if err != nil {
		k.log.Warn("looking at a blob that cannot be read", slog.String("digest", blob.Digest.String()), slog.Any("error", err))
	}
}

// noteGood says that a blob was read and is what was published.
func (k *Keeper) noteGood(blob store.Blob) {
	if k.damage.forget(blob) {
		k.log.Info("damaged blob is good again", slog.String("digest", blob.Digest.String()))
	}
}

// NoteReplaced says that a publish gave its digest the bytes of this blob.
func (k *Keeper) NoteReplaced(blob store.Blob) {
	if k.damage.replaced(blob) {
		k.log.Info("damaged blob is replaced", slog.String("digest", blob.Digest.String()), slog.String("locator", string(blob.Locator)))
	}
}
