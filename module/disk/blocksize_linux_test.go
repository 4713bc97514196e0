package disk

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestBlocksAreCountedInFragments(t *testing.T) {
	for _, test := range []struct {
		name string
		stat unix.Statfs_t
		want uint64
	}{
		{"a network file system that likes large writes", unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096}, 4096},
		{"both alike", unix.Statfs_t{Bsize: 4096, Frsize: 4096}, 4096},
		{"no fragment size", unix.Statfs_t{Bsize: 4096}, 4096},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := blockSize(&test.stat); got != test.want {
				t.Errorf("block size is %d, want %d", got, test.want)
			}
		})
	}
}
