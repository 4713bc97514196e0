package badger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestMappedFilesHaveTheirBlocks: through several memtables, no file that Badger
// writes to by its mapping lacks a block that it may write, and the next one is made
// before Badger needs it.
// Seen to fail with memtables without their blocks; the next memtable not made in
// advance.
func TestMappedFilesHaveTheirBlocks(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	defer mustClose(t, s)
	dir := filepath.Join(root, "metadata")
	first := memtables(t, dir)
	checkBlocks(t, dir)
	long := strings.Repeat("n", 250)
	for round := 0; len(memtables(t, dir)) == 0 || memtables(t, dir)[0] == first[0] || round < 3; round++ {
		var clients sync.WaitGroup
		for client := range 64 {
			clients.Go(func() {
				for i := range 32 {
					name := fmt.Sprintf("%s-%d-%d-%d", long[:200], round, client, i)
					file := store.File{Ref: store.Ref{VersionRef: store.VersionRef{Owner: name, Package: name, Version: name}, File: name}}
					if _, _, err := s.Publish(t.Context(), publicationOf(file.Ref, byte(i), byte(client), byte(round))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		clients.Wait()
		if t.Failed() {
			return
		}
		checkBlocks(t, dir)
	}
}

func memtables(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func checkBlocks(t *testing.T, dir string) {
	t.Helper()
	next := false
	for _, name := range memtables(t, dir) {
		info, err := os.Stat(name)
		if os.IsNotExist(err) {
			continue // flushed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		if allocated := info.Sys().(*syscall.Stat_t).Blocks * 512; allocated < memtableRoom {
			t.Errorf("%s has %d bytes of blocks, may write %d", filepath.Base(name), allocated, memtableRoom)
		}
		next = next || info.Size() == 0
	}
	if !next {
		t.Error("the next memtable's log is not made in advance")
	}
}
