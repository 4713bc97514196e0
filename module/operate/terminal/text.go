package terminal

import (
	"time"

	"github.com/dustin/go-humanize"
)

// Counted is a number of things.
func Counted(count int64, what string) string {
	if count != 1 {
		what += "s"
	}
	return humanize.Comma(count) + " " + what
}

// Amount is a number of things and their bytes.
func Amount(count int64, what string, bytes int64) string {
	return Counted(count, what) + ", " + humanize.IBytes(uint64(max(0, bytes)))
}

// Elapsed is the time since a moment.
func Elapsed(since time.Time) string {
	return time.Since(since).Round(10 * time.Millisecond).String()
}
