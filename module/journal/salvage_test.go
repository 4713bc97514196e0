package journal

import (
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
			end, left, err := Salvage(path, testStore, positions[test.after], func(line []byte, got store.Change, chain store.Digest) error {
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
