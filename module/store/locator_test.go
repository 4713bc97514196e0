package store

import (
	"strings"
	"testing"
)

func TestLocators(t *testing.T) {
	seen := make(map[Locator]bool)
	directories := make(map[string]int)
	for i := range uint64(30_000) {
		locator := NewLocator(i)
		if seen[locator] {
			t.Fatalf("%s twice", locator)
		}
		seen[locator] = true
		directory, _, err := locator.Split()
		if err != nil {
			t.Fatal(err)
		}
		directories[directory]++
	}
	if len(directories) != 3 {
		t.Errorf("%d directories for 30,000 locators", len(directories))
	}
	if directory, _, err := NewLocator(1<<64 - 1).Split(); err != nil || len(directory) != directoryWidth {
		t.Errorf("the last directory is %q: %v", directory, err)
	}
}

// FuzzLocator: a locator that is followed has two plain parts.
func FuzzLocator(f *testing.F) {
	for _, seed := range []string{"00000000/abc", "../x", "a/b/c", "/", "a/..", `a\b/c`, "A/b", "a/b\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		directory, name, err := Locator(text).Split()
		if err != nil {
			return
		}
		if directory+"/"+name != text || strings.ContainsAny(directory+name, `./\`+"\x00") {
			t.Fatalf("%q is %q and %q", text, directory, name)
		}
	})
}
