package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// segmented returns a registry whose journal has small segments, with its metadata.
func segmented(t *testing.T) (*Store, *registry.Registry) {
	t.Helper()
	root := t.TempDir()
	metadata, err := (&smallSegments{Backend{Reserve: smallestReserve}}).OpenMetadata(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	s := metadata.(*Store)
	blobs, err := filesystem.Open(filepath.Join(root, "blobs"), 1, discard, disk.OS{})
	if err != nil {
		t.Fatal(err)
	}
	r := registry.New(s, blobs, registry.Options{Idle: true})
	t.Cleanup(func() { _ = r.Close() })
	if err := blobs.Bind(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	return s, r
}

// TestBackupsGoOnAcrossACheckpoint while the journal has the changes, and say that the
// next must be a full one when it has not. A full one is of a checkpoint and what follows.
func TestBackupsGoOnAcrossACheckpoint(t *testing.T) {
	s, r := segmented(t)
	count := 0
	churn := func(checkpoint bool) {
		t.Helper()
		for range 12 {
			content := fmt.Sprint("content ", count)
			body := registry.Content{Body: strings.NewReader(content), Size: int64(len(content))}
			if _, err := r.Publish(t.Context(), numberedRef("o", count), "u", body, registry.Limits{}); err != nil {
				t.Fatal(err)
			}
			if count%3 == 0 {
				if err := r.DeleteFile(t.Context(), numberedRef("o", count), store.Act{User: "u"}); err != nil {
					t.Fatal(err)
				}
			}
			count++
		}
		if checkpoint {
			if err := s.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	backup := func(since store.Position) ([]byte, store.Position, error) {
		var stream bytes.Buffer
		made, err := backup.Make(t.Context(), r, backup.Options{Since: since}, &stream)
		return stream.Bytes(), made.Position, err
	}
	churn(false)
	first, at, err := backup(store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	churn(true)
	second, after, err := backup(at)
	if err != nil {
		t.Fatalf("an increment across a checkpoint: %v", err)
	}
	restoreAndCompare(t, s, after, first, second)
	churn(true)
	churn(true)
	if _, _, err := backup(at); !errors.Is(err, store.ErrNotContinued) || !strings.Contains(err.Error(), "make a full backup") {
		t.Errorf("an increment whose changes are gone: %v", err)
	}
	churn(false)
	full, at, err := backup(store.Position{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(full, []byte("checkpoint/0000000000000001-")) {
		t.Error("the full backup has no checkpoint")
	}
	churn(true)
	last, after, err := backup(at)
	if err != nil {
		t.Fatal(err)
	}
	restoreAndCompare(t, s, after, full, last)
}

// TestABackupReadsTheSameLinesTwice though a checkpoint is made between the lines and the
// blobs: it tells the files in another order than they were published in, and a restore takes
// the blobs in the order of the lines only. Seen to fail where the second reading begins with
// the newest checkpoint: no line named the second blob, or not in this order.
func TestABackupReadsTheSameLinesTwice(t *testing.T) {
	s, r := segmented(t)
	for _, version := range []string{"2", "1"} {
		ref := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: version}, File: "f"}
		if _, err := r.Publish(t.Context(), ref, "u", registry.Content{Body: strings.NewReader(version), Size: 1}, registry.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	stream := &meanwhile{at: "journal/", then: func() error { return s.Checkpoint(t.Context()) }}
	made, err := backup.Make(t.Context(), r, backup.Options{}, stream)
	if err != nil || stream.then != nil {
		t.Fatalf("backup: %v; it came to the lines: %t", err, stream.then == nil)
	}
	restoreAndCompare(t, s, made.Position, stream.Bytes())
}

// meanwhile calls a function once when some text is written.
type meanwhile struct {
	bytes.Buffer
	at   string
	then func() error
}

func (m *meanwhile) Write(p []byte) (int, error) {
	if then := m.then; then != nil && bytes.Contains(p, []byte(m.at)) {
		m.then = nil
		if err := then(); err != nil {
			return 0, err
		}
	}
	return m.Buffer.Write(p)
}

// smallSegments are stores whose journal rotates after a few changes.
type smallSegments struct{ Backend }

func (b *smallSegments) OpenMetadata(_ context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	return openTuned(b.dir(root), log, disk.OS{}, func(p *home) { p.segment, p.inline, p.checkpointLeast = 1_500, true, 1<<40 })
}

// restoreAndCompare restores backups and expects what a store has.
func restoreAndCompare(t *testing.T, s *Store, at store.Position, streams ...[]byte) {
	t.Helper()
	root := t.TempDir()
	var sources []backup.RestoreSource
	for i, stream := range streams {
		sources = append(sources, backup.RestoreSource{Name: fmt.Sprint(i), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(stream)), nil
		}})
	}
	backend := &smallSegments{Backend{Reserve: smallestReserve}}
	summary, err := backup.Restore(t.Context(), backup.RestoreTarget{
		Root: root, Metadata: backend, Blobs: &filesystem.Backend{Reserve: 1}, Spool: t.TempDir(),
	}, sources...)
	if err != nil || summary.Position != at {
		t.Fatalf("restored to %v, %v; want %v", summary.Position, err, at)
	}
	restored, err := backend.OpenMetadata(t.Context(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, restored.(*Store))
	wantRecords(t, restored.(*Store), records(t, s))
}
