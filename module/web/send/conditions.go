package send

import (
	"net/http"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// errPrecondition: an If-* header does not hold (RFC 9110 section 15.5.13).
var errPrecondition = visit.Refuse(http.StatusPreconditionFailed, "precondition failed")

// IsConditional tells whether a request that changes something has conditions.
func IsConditional(header http.Header) bool {
	return header["If-Match"] != nil || header["If-None-Match"] != nil || header["If-Unmodified-Since"] != nil
}

// CheckConditions evaluates the conditions of a request that publishes or deletes a file, or 412.
func CheckConditions(header http.Header, exists bool, file store.File) error {
	if failed := failedPrecondition(header, exists, file); failed != "" {
		return visit.Tell(errPrecondition, "%v: %s", errPrecondition, failed)
	}
	return nil
}

// IsKnown evaluates the conditions of a GET or HEAD of what is there, and has no entity tag and
// no date: whether the answer is 304, or 412.
func IsKnown(header http.Header) (bool, error) {
	if failedPrecondition(header, true, store.File{}) == "If-None-Match" {
		return true, nil
	}
	return false, CheckConditions(header, true, store.File{})
}

// failedPrecondition evaluates the conditions of a request in the order of RFC 9110
// section 13.2.2: If-Match, else If-Unmodified-Since; then If-None-Match. It returns the
// header of the one that does not hold, empty when all do.
func failedPrecondition(header http.Header, exists bool, file store.File) string {
	tag := EntityTag(file.Digest)
	if lines, ok := header["If-Match"]; ok {
		if !exists || !tagsContain(lines, tag, false) {
			return "If-Match"
		}
	} else if since := header.Get("If-Unmodified-Since"); since != "" && exists {
		// A date that does not parse is ignored (RFC 9110 section 13.1.4).
		limit, err := http.ParseTime(since)
		if err == nil && file.Created.Truncate(time.Second).After(limit) {
			return "If-Unmodified-Since"
		}
	}
	if lines, ok := header["If-None-Match"]; ok && exists && tagsContain(lines, tag, true) {
		return "If-None-Match"
	}
	return ""
}

// tagsContain tells whether a list of entity tags is * or has the tag. Weak tags
// count only in weak comparison (RFC 9110 section 8.8.3.2). Our tags hold no
// commas, so a list can be split at each to find one.
func tagsContain(lines []string, tag string, weak bool) bool {
	for _, line := range lines {
		// Only by itself: in a list it would be within somebody else's tag.
		if strings.TrimSpace(line) == "*" {
			return true
		}
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if weak {
				candidate = strings.TrimPrefix(candidate, "W/")
			}
			if candidate == tag {
				return true
			}
		}
	}
	return false
}
