package disktest_test

import (
	"errors"
	"os"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
)

// TestADeadProcessHasNoFiles: thousands of cases leave theirs open.
func TestADeadProcessHasNoFiles(t *testing.T) {
	b := newBench(t, disktest.Fault{Operation: 11, Mode: disktest.CrashBefore})
	before := openFiles(t)
	for _, name := range []string{"1", "2", "3", "4"} {
		file := b.write(name, name)
		defer file.Close()
	}
	if err := b.write("d/x", "").Close(); !errors.Is(err, disktest.ErrCrashed) {
		t.Fatalf("closing after the crash: %v", err)
	}
	b.Kill()
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
