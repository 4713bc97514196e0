package files

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestListsThatAreCut: what ended the body is told, wherever it ended a line, and not that the
// line is wrong. Seen to fail with the error of the last line.
func TestListsThatAreCut(t *testing.T) {
	const line = "0000000000000000000000000000000000000000000000000000000000000000  file\n"
	for _, length := range []int{0, 1, 64, 66, 68, len(line), len(line) + 1, 2 * len(line)} {
		cut := io.MultiReader(strings.NewReader((line + line)[:length]), iotest.ErrReader(store.ErrBusy))
		if sums, err := parseSums(cut); !errors.Is(err, store.ErrBusy) || sums != nil {
			t.Errorf("after %d bytes: %v, %v", length, sums, err)
		}
	}
}

// TestNamesInListsAreComparedAsFolded, and kept as they are spelled first.
// Seen to fail without the spelling of names that are not folded.
func TestNamesInListsAreComparedAsFolded(t *testing.T) {
	sum := func(digit, name string) string { return strings.Repeat(digit, 64) + "  " + name + "\n" }
	for _, names := range [][2]string{{"file", "file"}, {"File", "FILE"}, {"file", "FILE"}, {"FILE", "file"}} {
		sums, err := parseSums(strings.NewReader(sum("1", names[0]) + sum("1", names[1])))
		if _, kept := sums[names[0]]; err != nil || len(sums) != 1 || !kept {
			t.Errorf("%q: %v, %v", names, sums, err)
		}
		if _, err := parseSums(strings.NewReader(sum("1", names[0]) + sum("2", names[1]))); !errors.Is(err, errSums) {
			t.Errorf("%q with two digests: %v", names, err)
		}
	}
}
