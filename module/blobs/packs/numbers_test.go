package packs

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// given notes which slots were given, and says when one is given again: a backup and its
// increment would name it twice.
type given map[string]bool

func (g given) put(t *testing.T, s *Store) store.Locator {
	t.Helper()
	locator := mustPut(t, s, nil)
	at, err := format.Find(locator)
	must(t, err)
	slot := fmt.Sprint(at.Pack, at.Slot)
	if g[slot] {
		t.Fatalf("pack and slot %s are used again", slot)
	}
	g[slot] = true
	return locator
}

func (g given) fill(t *testing.T, s *Store) (locators []store.Locator) {
	t.Helper()
	for range s.layout.Slots {
		locators = append(locators, g.put(t, s))
	}
	return locators
}

// TestNoSlotIsUsedTwice, whatever was deleted before the store was opened again.
// Seen to fail with slots that are emptied by a deletion.
func TestNoSlotIsUsedTwice(t *testing.T) {
	path := t.TempDir()
	slots := make(given)
	for range 20 {
		s := mustOpen(t, path, disk.OS{}, little)
		must(t, s.Delete(slots.put(t, s)))
		must(t, s.Close())
	}
}

// TestNoSlotIsUsedTwiceAfterAPackThatGotNone: a full disk, or a kill, keeps all blobs from the
// pack that follows a full one, and blobs of the full one are deleted then.
// Seen to fail with a pack that counts as the last one before a blob is in it.
func TestNoSlotIsUsedTwiceAfterAPackThatGotNone(t *testing.T) {
	for _, kept := range []int{0, 100} {
		path := t.TempDir()
		full := &fullDisk{FS: quick{}}
		s := mustOpen(t, path, full, little)
		slots := make(given)
		locators := slots.fill(t, s)
		full.full = true
		_, err := s.Put(context.Background(), nil)
		wantError(t, err, store.ErrNoSpace)
		full.full = false
		for _, locator := range locators[kept:] {
			must(t, s.Delete(locator))
		}
		must(t, s.Close())
		s = mustOpen(t, path, full, little)
		slots.fill(t, s)
		if got := files(t, path); kept == 0 && !slices.Equal(got, []string{"0000002"}) {
			t.Errorf("packs are %v", got)
		}
	}
}

// TestNoSlotIsUsedTwiceAfterAPowerCut that follows a kill: of the slots that opening finds the
// disk may have none yet.
// Seen to fail with a pack that counts as the last one when it was only read.
func TestNoSlotIsUsedTwiceAfterAPowerCut(t *testing.T) {
	path := t.TempDir()
	fsys := disktest.New(path, disktest.Fault{})
	slots := make(given)
	s := mustOpen(t, path, fsys, little)
	locators := slots.fill(t, s)
	resume := s.rounds.Pause()
	_, err := s.begin(2)
	must(t, err)
	s.file = unsynced{s.file}
	s.writeRound([]*blob{{at: format.Address{Pack: 2, Nonce: format.NewNonce()}, addressed: true}})
	resume()

	s = mustOpen(t, path, fsys, little) // as after a kill
	for _, locator := range locators {
		must(t, s.Delete(locator))
	}
	must(t, fsys.SyncDirectory(path))
	must(t, fsys.PowerCut())
	slots.put(t, mustOpen(t, path, disk.OS{}, little))
}

// TestAPackThatWasRemovedIsNotWritten: it is not the last one any more, and got empty.
// Seen to fail with a pack that stays the current one, and refuses each blob.
func TestAPackThatWasRemovedIsNotWritten(t *testing.T) {
	path := t.TempDir()
	s := mustOpen(t, path, disk.OS{}, little)
	only := mustPut(t, s, []byte("only"))
	must(t, s.PutAt(context.Background(), format.Address{Pack: 7, Slot: 3, Nonce: format.NewNonce()}.Locator(), nil))
	must(t, s.Delete(only))
	wantContent(t, s, mustPut(t, s, []byte("next")), []byte("next"))
	if got := files(t, path); !slices.Equal(got, []string{"0000007", "0000008"}) {
		t.Errorf("packs are %v", got)
	}
}
