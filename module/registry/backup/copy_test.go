package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestIncompleteBackups: what a backup says it lacks may be wrong in it, and nothing
// else.
func TestIncompleteBackups(t *testing.T) {
	b := newSampleBackup(t)
	large := store.Digest(sha256.Sum256([]byte(b.contents[2])))
	b.contents[2] = strings.Repeat("x", len(b.contents[2]))
	b.damaged = []DamagedBlob{{Digest: large, Problem: "wrong digest"}}
	if _, err := b.read(t, bytes.NewReader(b.write(t, 0, 1, 2, 3))); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a backup that does not say it is incomplete: %v", err)
	}
	b.head.Incomplete = true
	if got, err := b.read(t, bytes.NewReader(b.write(t, 0, 1, 2, 3))); err != nil || len(got) != 3 {
		t.Errorf("one that does: %d contents, %v", len(got), err)
	}
	b.contents[1] = "eno"
	if _, err := b.read(t, bytes.NewReader(b.write(t, 0, 1, 2, 3))); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("damage that it does not name: %v", err)
	}
}

// TestCopyBlobsStopsAtTheFirstError: of write, with others in progress.
func TestCopyBlobsStopsAtTheFirstError(t *testing.T) {
	b := newSampleBackup(t)
	reader, err := NewReader(bytes.NewReader(b.write(t, 0, 1, 2, 3)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.NextLines(); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.NextLines(); err != io.EOF {
		t.Fatal(err)
	}
	err = reader.CopyBlobs(t.Context(), bytes.NewReader(b.lines), func(ctx context.Context, blob store.Blob, _ io.Reader) error {
		if blob.Locator == b.locator(1) {
			return errWrite
		}
		return nil
	})
	if !errors.Is(err, errWrite) {
		t.Errorf("error is %v", err)
	}
}

// TestCountsOfTheEnd: an entry that is gone, with nothing else that tells, shows.
func TestCountsOfTheEnd(t *testing.T) {
	for name, change := range map[string]func(end *End){
		"lines":    func(end *End) { end.Lines++ },
		"blobs":    func(end *End) { end.Blobs++ },
		"bytes":    func(end *End) { end.Bytes++ },
		"position": func(end *End) { end.Position.Sequence++ },
	} {
		b := newSampleBackup(t)
		var stream bytes.Buffer
		w, err := NewWriter(&stream, b.head)
		if err == nil {
			err = w.WriteLines(LinesName(1, b.head.Position.Sequence), b.lines)
		}
		if err == nil {
			change(&w.end)
			_, err = w.End(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.read(t, &stream); !errors.Is(err, store.ErrIncomplete) {
			t.Errorf("other %s: %v", name, err)
		}
	}
}
