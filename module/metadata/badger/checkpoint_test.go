package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// records are all records of a database that its journal can make again, with ids, counts,
// sums and the chain.
func records(t require, s *Store) map[string]string {
	t.Helper()
	for { // what the reaper would have done
		page, err := s.Reclaim(context.Background(), 1_000)
		if err == nil {
			err = s.Bury(context.Background(), page)
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
	}
	found := make(map[string]string)
	err := s.opened.db.view(func(r reader) error {
		return r.scan(nil, []byte("a"), func(key, value []byte) error {
			if prefix := string(key[:2]); prefix != tokenUsePrefix && prefix != string(scrubKey) {
				found[string(key)] = string(value)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// require is what tests of rapid and others have in common.
type require interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func wantRecords(t require, s *Store, want map[string]string) {
	t.Helper()
	got := records(t, s)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Fatalf("record %q is %q, was %q", key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, were %d", len(got), len(want))
	}
}

// checkpointModel is a store whose database is now and then made again of its checkpoint
// and the changes after it.
type checkpointModel struct {
	root  string
	store *Store
	clock int64

	damaged string // the file of a checkpoint
}

func (m *checkpointModel) open(t *rapid.T) {
	s, err := openTuned(filepath.Join(m.root, "metadata"), discard, disk.OS{}, func(p *home) {
		p.segment, p.inline, p.checkpointLeast = 2_000, true, 1<<40
	})
	if err != nil {
		t.Fatal(err)
	}
	m.store = s
}

func (m *checkpointModel) version(t *rapid.T) store.VersionRef {
	return store.VersionRef{
		Owner:   rapid.SampledFrom([]string{"o", "O", "p"}).Draw(t, "owner"),
		Package: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "package"),
		Version: rapid.SampledFrom([]string{"1", "2", "v"}).Draw(t, "version"),
	}
}

func (m *checkpointModel) ref(t *rapid.T) store.Ref {
	return store.Ref{VersionRef: m.version(t), File: rapid.SampledFrom([]string{"f", "F", "g", "h"}).Draw(t, "file")}
}

// mayBeRefused is for a change that may be refused.
func mayBeRefused(t *rapid.T, err error) {
	for _, refusal := range []error{store.ErrExists, store.ErrPackageNotFound, store.ErrFileNotFound, store.ErrTokenExists, store.ErrTokenNotFound} {
		if errors.Is(err, refusal) {
			return
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (m *checkpointModel) publish(t *rapid.T) {
	m.clock++
	_, err := publishAs(m.store, m.ref(t), byte(rapid.IntRange(1, 4).Draw(t, "content")), time.Unix(m.clock, 0))
	mayBeRefused(t, err)
}

func publishAs(s *Store, ref store.Ref, content byte, at time.Time) (store.File, error) {
	p := publicationOf(ref, content)
	p.Creator, p.Created = fmt.Sprint("user", content), at
	file, _, err := s.Publish(context.Background(), p)
	return file, err
}

func (m *checkpointModel) deleteFile(t *rapid.T) {
	mayBeRefused(t, m.store.DeleteFile(context.Background(), m.ref(t), testAct))
}

func (m *checkpointModel) deleteVersion(t *rapid.T) {
	mayBeRefused(t, m.store.DeleteVersion(context.Background(), m.version(t), testAct))
}

func (m *checkpointModel) addToken(t *rapid.T) {
	id := rapid.SampledFrom([]string{"aaaaaaaaaa", "bbbbbbbbbb"}).Draw(t, "token")
	mayBeRefused(t, m.store.AddToken(context.Background(), grant.Token{ID: id, Name: id, User: "u", Created: time.Unix(5, 0)}, store.Digest{2}))
}

func (m *checkpointModel) deleteToken(t *rapid.T) {
	mayBeRefused(t, m.store.DeleteToken(context.Background(), rapid.SampledFrom([]string{"aaaaaaaaaa", "bbbbbbbbbb"}).Draw(t, "token"), testAct))
}

func (m *checkpointModel) checkpoint(t *rapid.T) {
	if err := m.store.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// again closes the store, does something to its files, and expects to find the same.
func (m *checkpointModel) again(do func(t *rapid.T, root string)) func(*rapid.T) {
	return func(t *rapid.T) {
		want := records(t, m.store)
		if err := m.store.Close(); err != nil {
			t.Fatal(err)
		}
		do(t, filepath.Join(m.root, "metadata"))
		m.open(t)
		wantRecords(t, m.store, want)
		m.check(t)
	}
}

// check expects to find nothing wrong, but the checkpoint that was damaged, which then is
// removed.
func (m *checkpointModel) check(t *rapid.T) {
	err := m.store.Check(context.Background(), func(problem string) {
		if m.damaged == "" || !strings.Contains(problem, filepath.Base(m.damaged)) {
			t.Fatal(problem)
		}
	})
	if err == nil && m.damaged != "" {
		err = os.Remove(m.damaged)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.damaged = ""
}

func dropDatabase(t require, path string) {
	t.Helper()
	names, err := databaseFiles(path, allFiles...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// damageNewest changes a byte of the newest checkpoint, if there is a spare one.
func (m *checkpointModel) damageNewest(t require, path string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(path, journalDirectory, "checkpoint-*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 2 {
		return
	}
	m.damaged = names[len(names)-1]
	damage(t, m.damaged)
}

func damage(t require, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text[len(bytes.TrimRight(text, "\t"))/2] ^= 1 // what follows the lines of a journal is nothing
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestADatabaseIsMadeOfACheckpointAndWhatFollows: whatever was published, deleted and
// checkpointed before, all records of a database that is made again are the same: ids,
// counts, sums and the chain.
func TestADatabaseIsMadeOfACheckpointAndWhatFollows(t *testing.T) {
	backend := &Backend{Reserve: smallestReserve}
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp("", "checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := &checkpointModel{root: root}
		m.open(t)
		defer func() { _ = m.store.Close() }()
		steps := map[string]func(*rapid.T){
			"publish":     m.publish,
			"delete file": m.deleteFile, "delete version": m.deleteVersion,
			"add token": m.addToken, "delete token": m.deleteToken,
			"checkpoint": m.checkpoint,
			"reopen":     m.again(func(*rapid.T, string) {}),
			"lose the database": m.again(func(t *rapid.T, path string) {
				dropDatabase(t, path)
			}),
			"lose the database and a checkpoint": m.again(func(t *rapid.T, path string) {
				m.damageNewest(t, path)
				dropDatabase(t, path)
			}),
			"rebuild": m.again(func(t *rapid.T, _ string) {
				if err := backend.Rebuild(context.Background(), root, discard); err != nil {
					t.Fatal(err)
				}
			}),
			"rebuild the journal": m.again(func(t *rapid.T, _ string) {
				if err := backend.RebuildJournal(context.Background(), root, discard); err != nil {
					t.Fatal(err)
				}
			}),
		}
		names := slices.Sorted(maps.Keys(steps))
		names = append(names, slices.Repeat([]string{"publish", "delete file", "checkpoint", "delete version", "publish"}, 4)...)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			steps[rapid.SampledFrom(names).Draw(t, "step")](t)
		}
	})
}

func mustGlob(t require, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
