package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
)

// TestWhatCannotBeReadIsNoCrash: lines that the disk does not read now are not the remains of
// a crash, which would be cut off.
// Seen to fail with a read error that is taken for a line that was cut, and with one behind
// such a line that is taken for the end.
func TestWhatCannotBeReadIsNoCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := mustCreate(t, path, options(0))
	fill(t, j, 5, 1)
	mustClose(t, j)
	text, err := os.ReadFile(filepath.Join(path, names(t, path)[0]))
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(text))
	unwritten := append(make([]byte, 2*sector), '\n')
	for name, readable := range map[string][][]byte{
		"after a line":                      lines[:4],
		"after half a line":                 append(slices.Clone(lines[:4]), lines[4][:40]),
		"after a line that was not written": append(slices.Clone(lines[:4]), unwritten),
	} {
		s := &source{segment: files.Segment{First: 1}}
		if err := s.begin(&failingOnce{Reader: bytes.NewReader(bytes.Join(readable, nil))}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.toEnd(); !errors.Is(err, syscall.EIO) {
			t.Errorf("a disk that fails %s: opening says %v at change %d", name, err, s.position.Sequence)
		}
	}
}

// failingOnce fails at the end, and the next time is at the end.
type failingOnce struct {
	io.Reader
	failed bool
}

func (r *failingOnce) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && !r.failed {
		r.failed = true
		err = syscall.EIO
	}
	return n, err
}
