package view

import (
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes.
type Size int64

// String returns the size as people read it, such as 1.5 MiB.
func (s Size) String() string { return humanize.IBytes(uint64(max(s, 0))) }

// Count is a number of things.
type Count int64

// String returns the number with commas, such as 12,345.
func (c Count) String() string { return humanize.Comma(int64(c)) }

// Of returns the number and what is counted, such as 1 file or 2 files.
func (c Count) Of(one, many string) string {
	if c == 1 {
		return "1 " + one
	}
	return c.String() + " " + many
}

// Moment is a point in time, as a page says it. The zero Moment is unknown, and its
// texts are empty.
type Moment struct {
	at, now time.Time
}

// NewMoment returns a point in time, as it is said now.
func NewMoment(at, now time.Time) Moment { return Moment{at, now} }

// Known tells whether the moment is known.
func (m Moment) Known() bool { return !m.at.IsZero() }

// Date returns the day in UTC, such as 28 Nov 2026.
func (m Moment) Date() string { return m.format("2 Jan 2006") }

// Exact returns the minute in UTC, such as 28 Nov 2026, 16:10 UTC.
func (m Moment) Exact() string { return m.format("2 Jan 2006, 15:04 UTC") }

// Machine returns the moment for the attribute datetime of the element time
// (RFC 3339).
func (m Moment) Machine() string { return m.format(time.RFC3339) }

// Ago returns how long ago the moment was when the page was made, such as 3 days ago.
func (m Moment) Ago() string {
	if !m.Known() {
		return ""
	}
	if m.now.Sub(m.at) < time.Minute {
		return "just now" // a clock that is ahead says so too
	}
	return strings.TrimSpace(humanize.RelTime(m.at, m.now, "ago", ""))
}

func (m Moment) format(layout string) string {
	if !m.Known() {
		return ""
	}
	return m.at.UTC().Format(layout)
}
