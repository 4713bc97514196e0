package filesystem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// silentFile is on a disk that answers no sync until it is released.
type silentFile struct {
	disk.File
	released <-chan struct{}
}

func (f *silentFile) Sync() error {
	<-f.released
	return f.File.Sync()
}

// silentDisk has silent files.
type silentDisk struct {
	disk.OS
	released <-chan struct{}
}

func (d silentDisk) Create(name string) (disk.File, error) {
	file, err := d.OS.Create(name)
	return &silentFile{file, d.released}, err
}

func (d silentDisk) Edit(name string) (disk.File, error) {
	file, err := d.OS.Edit(name)
	return &silentFile{file, d.released}, err
}

// TestNobodyWaitsForADiskThatDoesNotAnswer longer than the context lasts. The work goes on, and
// ends when the disk answers.
// Seen to fail with commits that do not heed their context.
func TestNobodyWaitsForADiskThatDoesNotAnswer(t *testing.T) {
	released := make(chan struct{})
	s, err := openWith(t.TempDir(), 1, silentDisk{disk.OS{}, released})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, size := range map[string]int64{"a small file": 100, "a large file": smallBlob + 1} {
		t.Run(name, func(t *testing.T) {
			w, err := s.Create(t.Context(), size)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if locator, err := w.Commit(ctx); !errors.Is(err, context.DeadlineExceeded) || locator != "" {
				t.Errorf("got %q, %v, want %v", locator, err, context.DeadlineExceeded)
			}
			if err := w.Abort(); err != nil {
				t.Errorf("aborting: %v", err)
			}
		})
	}
	close(released)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for left := -1; left != 0; {
		select {
		case <-tick.C:
		case <-time.After(time.Minute):
			t.Fatalf("%d files are in %s, want none: the disk answers again", left, temporaryDirectory)
		}
		found, err := os.ReadDir(filepath.Join(s.path, temporaryDirectory))
		if err != nil {
			t.Fatal(err)
		}
		left = len(found)
	}
}
