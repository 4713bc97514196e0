package filesystem

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestBlobsOfUnknownSize are in a pack unless they are too large for one, in whatever pieces
// they come. Seen to fail with all of them in files, with a blob of which the first bytes are
// lost when it grows, and with room that a blob that has grown does not give back.
func TestBlobsOfUnknownSize(t *testing.T) {
	s := newStore(t, 1, nil)
	for _, size := range []int{0, 1, smallBlob - 1, smallBlob, smallBlob + 1, 3 * smallBlob} {
		for _, piece := range []int{1000, smallBlob, 3 * smallBlob} {
			t.Run(fmt.Sprintf("%d bytes in pieces of %d", size, piece), func(t *testing.T) {
				content := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				w, err := s.Create(t.Context(), -1)
				if err != nil {
					t.Fatal(err)
				}
				for from := 0; from < size; from += piece {
					if _, err := w.Write(content[from:min(from+piece, size)]); err != nil {
						t.Fatal(err)
					}
				}
				locator, err := w.Commit(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if inPack := format.Owns(locator); inPack != (size <= smallBlob) {
					t.Errorf("in a pack: %t, want %t", inPack, size <= smallBlob)
				}
				reader, err := s.Open(t.Context(), locator, int64(size))
				if err != nil {
					t.Fatal(err)
				}
				defer reader.Close()
				if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes are read, %v; want the %d that were written", len(got), err, size)
				}
				wantNothingLeft(t, s)
			})
		}
	}
}

// TestAnAnnouncedBlobTakesNothing before its first byte comes, of whatever size.
// Seen to fail with files that Create makes.
func TestAnAnnouncedBlobTakesNothing(t *testing.T) {
	s := newStore(t, 1, nil)
	for _, size := range []int64{-1, 1, smallBlob + 1, 1 << 30} {
		w, err := s.Create(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		wantNothingLeft(t, s)
		if err := w.Abort(); err != nil {
			t.Errorf("aborting one of %d bytes: %v", size, err)
		}
	}
	locator := store.NewLocator(1)
	w, err := s.CreateAt(t.Context(), locator, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(w); err != nil {
		t.Errorf("committing nothing: %v", err)
	}
	if info, err := os.Stat(filepath.Join(s.path, string(locator))); err != nil || info.Size() != 0 {
		t.Errorf("its file: %v, %v; want one of 0 bytes", info, err)
	}
}
