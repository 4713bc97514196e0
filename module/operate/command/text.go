package command

import (
	"time"

	"github.com/dustin/go-humanize"
)

// counted is a number of things.
func counted(count int64, what string) string {
	if count != 1 {
		what += "s"
	}
	return humanize.Comma(count) + " " + what
}

// amount is a number of things and their bytes.
func amount(count int64, what string, bytes int64) string {
	return counted(count, what) + ", " + humanize.IBytes(uint64(max(0, bytes)))
}

func elapsed(since time.Time) string {
	return time.Since(since).Round(10 * time.Millisecond).String()
}
