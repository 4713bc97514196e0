package journal

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestSalvage takes what follows a position and is whole, whatever is before it, and says
// when there may be more.
func TestSalvage(t *testing.T) {
	const total, from = 40, 25
	// edit changes the last segment.
	edit := func(change func(lines []string)) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			all := names(t, path)
			name := filepath.Join(path, all[len(all)-1])
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(string(text), "\n")
			change(lines)
			if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(which int) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, names(t, path)[which])); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(line string) string { return strings.Replace(line, `"alice"`, `"alicf"`, 1) }
	for _, test := range []struct {
		name    string
		segment int64
		after   uint64
		damage  func(t *testing.T, path string)
		end     uint64
		left    string // what is said about it
	}{
		{"a whole journal", 1 << 20, from, nil, total, ""},
		{"all of it", 1 << 20, 0, nil, total, ""},
		{"nothing more", 1 << 20, total, nil, total, ""},
		{"many segments", 1500, from, nil, total, ""},
		{"many segments, from the start", 1500, 0, nil, total, ""},
		{"no journal", 1 << 20, from, func(t *testing.T, path string) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}, from, ""},
		{"the first segment is missing", 1500, from, remove(0), total, ""},
		{"a damaged header", 1 << 20, from, edit(func(lines []string) { lines[0] = "{}\n" }), total, ""},
		{"a damaged header of which all is wanted", 1 << 20, 0, edit(func(lines []string) { lines[0] = "{}\n" }), 0, "segment"},
		{"damage before", 1 << 20, from, edit(func(lines []string) { lines[from-3] = flip(lines[from-3]) }), total, ""},
		{"a line before is no line", 1 << 20, from, edit(func(lines []string) { lines[from-3] = "garbage\n" }), total, ""},
		{"damage behind", 1 << 20, from, edit(func(lines []string) { lines[from+3] = flip(lines[from+3]) }), from + 2, "up to 40"},
		{"a line behind is no line", 1 << 20, from, edit(func(lines []string) { lines[total] = "garbage\n" }), total - 1, "not what was written"},
		{"a cut line", 1 << 20, from, edit(func(lines []string) { lines[total] = lines[total][:20] }), total - 1, "cut"},
		{"the second segment is missing", 1500, 1, remove(1), 0, "do not follow"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			j := mustCreate(t, path, options(test.segment))
			positions := []store.Position{{}}
			for i := uint64(1); i <= total; i++ {
				fill(t, j, i, 1)
				positions = append(positions, j.Position())
			}
			mustClose(t, j)
			if test.damage != nil {
				test.damage(t, path)
			}
			next := test.after
			end, left, err := Salvage(path, testStore, positions[test.after], nil, func(line []byte, got store.Change, chain store.Digest) error {
				next++
				if got.Sequence != next || got.Version != fmt.Sprint(next) || chain != positions[next].Chain || len(line) == 0 {
					return fmt.Errorf("change %v, want %d", got, next)
				}
				return nil
			})
			if test.end == 0 && test.after > 0 {
				test.end = next // what the first segment has
			}
			if err != nil || end != positions[test.end] || next != test.end {
				t.Errorf("salvaged to %d of %d, %v", end.Sequence, test.end, err)
			}
			if (left == nil) != (test.left == "") || left != nil && !strings.Contains(left.Error(), test.left) {
				t.Errorf("left is %v, want %q", left, test.left)
			}
		})
	}
}

// TestSalvageWithCarriedLines goes on in the lines that a carrier has, and behind them in the
// journal.
// Seen to fail with a journal that is not read again behind them.
func TestSalvageWithCarriedLines(t *testing.T) {
	const total, damaged = 10, 5
	for name, test := range map[string]struct {
		after    uint64
		from, to int // of the carried lines
		header   string
		end      uint64
		left     string
	}{
		"none":                                {2, 0, 0, "", damaged - 1, "up to 10"},
		"the damaged one, and some before":    {2, 3, 5, "", total, ""},
		"some before the position":            {6, 3, 5, "", total, ""},
		"all behind the damaged one":          {2, 6, 10, "", damaged - 1, "up to 10"},
		"all, to the end":                     {2, 3, 10, "", total, ""},
		"all of a journal that has no header": {0, 1, 10, "{}\n", total, ""},
		"all that the journal has, and more":  {0, 1, 10, "", total, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			j := mustCreate(t, path, options(1<<20))
			positions := []store.Position{{}}
			for i := uint64(1); i <= total; i++ {
				fill(t, j, i, 1)
				positions = append(positions, j.Position())
			}
			mustClose(t, j)
			file := filepath.Join(path, names(t, path)[0])
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfter(string(text), "\n")
			var carried string
			if test.from > 0 {
				carried = strings.Join(lines[test.from:test.to+1], "")
			}
			lines[0] = cmp.Or(test.header, lines[0])
			lines[damaged] = strings.Replace(lines[damaged], `"alice"`, `"alicf"`, 1)
			if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
			next := test.after
			end, left, err := Salvage(path, testStore, positions[test.after], []byte(carried), func(_ []byte, got store.Change, _ store.Digest) error {
				if next++; got.Sequence != next {
					return fmt.Errorf("change %d, want %d", got.Sequence, next)
				}
				return nil
			})
			if err != nil || end != positions[test.end] || next != test.end {
				t.Errorf("salvaged to %d, %v; want %d", end.Sequence, err, test.end)
			}
			if (left == nil) != (test.left == "") || left != nil && !strings.Contains(left.Error(), test.left) {
				t.Errorf("left is %v, want %q", left, test.left)
			}
		})
	}
}
