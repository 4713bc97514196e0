package badger

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// discardDisk counts how often Badger's statistics are made, or fails to.
type discardDisk struct {
	disk.OS
	made  int
	fails error
}

func (d *discardDisk) Create(name string) (disk.File, error) {
	if filepath.Base(name) == discardFile {
		if d.fails != nil {
			return nil, d.fails
		}
		d.made++
	}
	return d.OS.Create(name)
}

// TestBadgerNeverMakesItsStatistics, because it ends the process when it cannot: they
// are there before it looks, whatever a crash left of them, and a disk that does not
// take them is an error.
// Seen to fail with Badger making its file of statistics itself.
func TestBadgerNeverMakesItsStatistics(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(path string) error // to the directory of a store, nil: a new one
		made   int
	}{
		{"a new store", nil, 1},
		{"a store", func(string) error { return nil }, 0},
		{"they are missing", os.Remove, 1},
		{"they have no size", func(name string) error { return os.Truncate(name, 0) }, 1},
		{"nothing else is there yet", func(name string) error {
			mark := filepath.Join(filepath.Dir(name), "FORMAT")
			format, err := os.ReadFile(mark)
			return errors.Join(err, os.RemoveAll(filepath.Dir(name)), os.Mkdir(filepath.Dir(name), 0o700),
				os.WriteFile(mark, format, 0o600), os.WriteFile(name, make([]byte, discardSize), 0o600))
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metadata")
			name := filepath.Join(path, discardFile)
			if test.before != nil {
				s, err := open(t.Context(), path, smallestReserve, discard, disk.OS{})
				if err != nil {
					t.Fatal(err)
				}
				mustClose(t, s)
				if err := test.before(name); err != nil {
					t.Fatal(err)
				}
			}
			if test.made > 0 {
				if _, err := open(t.Context(), path, smallestReserve, discard, &discardDisk{fails: syscall.EIO}); !errors.Is(err, syscall.EIO) {
					t.Errorf("on a disk that fails: %v", err)
				}
			}
			d := new(discardDisk)
			s, err := open(t.Context(), path, smallestReserve, discard, d)
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, s)
			if info, err := os.Stat(name); err != nil || info.Size() != discardSize || d.made != test.made {
				t.Errorf("made %d times, want %d; %v, %v", d.made, test.made, info, err)
			}
		})
	}
}
