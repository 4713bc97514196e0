package folder

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAFolderGivesTheBytesOfARenewal, which a publish of the same bytes under the same name
// is. Seen to fail with the bytes of publishes alone.
func TestAFolderGivesTheBytesOfARenewal(t *testing.T) {
	reg := newRegistry(t)
	ref := store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: "f"}
	for range 2 {
		content := registry.Content{Body: strings.NewReader("content"), Size: -1}
		if _, err := reg.Publish(t.Context(), ref, "alice", content, registry.Limits{OnDuplicate: store.Same}); err != nil {
			t.Fatal(err)
		}
	}
	var made bytes.Buffer
	if _, err := backup.Make(t.Context(), reg, backup.Options{}, &made); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup")
	mustUnpack(t, path, disk.OS{}, made.Bytes())
	packed, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	again, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	want, got := blobsOf(t, made.Bytes()), blobsOf(t, again)
	if len(want) != 1 || len(got) != 1 || got[0] != want[0] {
		t.Errorf("the folder gives the bytes %q, want %q", got, want)
	}
}

// blobsOf returns where the bytes of a backup's blobs were.
func blobsOf(t *testing.T, stream []byte) (locators []store.Locator) {
	t.Helper()
	reader, err := backup.NewReader(bytes.NewReader(stream))
	for err == nil {
		_, err = reader.NextLines()
	}
	for errors.Is(err, io.EOF) {
		locator, _, _, blobErr := reader.NextBlob()
		if errors.Is(blobErr, io.EOF) {
			return locators
		}
		if blobErr != nil {
			err = blobErr
		}
		locators = append(locators, locator)
	}
	t.Fatal(err)
	return nil
}
