package database

import (
	"strings"
	"time"
)

// Storable is a text as PostgreSQL stores one: UTF-8, without NUL.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// TimeOf is the time of nanoseconds, as the tables have it.
func TimeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// TimeOrZero is the zero time for NULL.
func TimeOrZero(ns *int64) time.Time {
	if ns == nil {
		return time.Time{}
	}
	return TimeOf(*ns)
}
