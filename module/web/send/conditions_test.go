package send

import (
	"net/http"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestPreconditionsOfAPut(t *testing.T) {
	file := store.File{
		Blob:    store.Blob{Digest: store.Digest{1, 2, 3}},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
	}
	tag := EntityTag(file.Digest)
	const created, before = "Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:04 GMT"
	for _, test := range []struct {
		name, header, value   string
		onMissing, onExisting bool
	}{
		{"none", "X-Other", "x", true, true},
		{"If-None-Match *", "If-None-Match", "*", true, false},
		{"If-None-Match of the file", "If-None-Match", tag, true, false},
		{"If-None-Match, weak", "If-None-Match", "W/" + tag, true, false},
		{"If-None-Match of another", "If-None-Match", `"other"`, true, true},
		{"If-None-Match of a list", "If-None-Match", `"other", ` + tag, true, false},
		{"If-Match *", "If-Match", "*", false, true},
		{"If-Match of the file", "If-Match", tag, false, true},
		{"If-Match, weak", "If-Match", "W/" + tag, false, false},
		{"If-Match of another", "If-Match", `"other"`, false, false},
		{"If-Match empty", "If-Match", "", false, false},
		{"If-Unmodified-Since the file's time", "If-Unmodified-Since", created, true, true},
		{"If-Unmodified-Since before", "If-Unmodified-Since", before, true, false},
		{"If-Unmodified-Since no date", "If-Unmodified-Since", "yesterday", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{test.header: {test.value}}
			if got := failedPrecondition(header, false, store.File{}) == ""; got != test.onMissing {
				t.Errorf("on a missing file: %v", got)
			}
			if got := failedPrecondition(header, true, file) == ""; got != test.onExisting {
				t.Errorf("on an existing file: %v", got)
			}
		})
	}
}
