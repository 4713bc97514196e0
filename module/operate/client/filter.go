package client

import (
	"fmt"
	"path"
	"strings"
)

// Filter chooses files by patterns of path.Match. Without patterns in Include, all files are
// included.
type Filter struct{ Include, Exclude []string }

// Check reports a malformed pattern.
func (f Filter) Check() error {
	for _, pattern := range append(append([]string(nil), f.Include...), f.Exclude...) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("the pattern %q: %w", pattern, err)
		}
	}
	return nil
}

// Takes tells whether a file is chosen, by its path below the folder that was given.
func (f Filter) Takes(below string) bool {
	return (len(f.Include) == 0 || matches(f.Include, below)) && !matches(f.Exclude, below)
}

// matches compares patterns that contain a slash with the path, and others with the name.
func matches(patterns []string, below string) bool {
	for _, pattern := range patterns {
		text := path.Base(below)
		if strings.Contains(pattern, "/") {
			text = below
		}
		if is, _ := path.Match(pattern, text); is { // a bad pattern was refused before
			return true
		}
	}
	return false
}
