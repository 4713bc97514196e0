package main

import (
	"strings"

	"github.com/dustin/go-humanize"
)

// grouped is a number with commas between thousands.
func grouped(n int) string { return humanize.Comma(int64(n)) }

// count is a number of things, whose plural is regular.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + strings.TrimSuffix(thing, "y") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(thing, "y")]
}

// compact is a size for a benchmark's name, which has no spaces.
func compact(size string) string { return strings.ReplaceAll(size, " ", "") }
