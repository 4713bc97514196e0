package s3

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestSessionsAreReadTogether: the latest turn of each, with one list for all and 16 requests
// in progress at a time: the server answers none of them before 16 have come. Seen to fail with
// sessions that are read one after the other, with a list for each, and with the first turn.
func TestSessionsAreReadTogether(t *testing.T) {
	const count, latest = 2 * readAtOnce, 10 // 10 sorts before 9
	var list strings.Builder
	list.WriteString("<ListBucketResult><IsTruncated>false</IsTruncated>")
	for range count {
		folder := "registry/uploads-" + string(store.NewSessionID()) + "/"
		for _, name := range []string{string(store.NewSessionID()), sessionObject + "10", sessionObject + "9"} {
			fmt.Fprintf(&list, "<Contents><Key>%s</Key><Size>1</Size></Contents>", folder+name)
		}
	}
	list.WriteString("</ListBucketResult>")
	var lists, reads atomic.Int64
	together := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("list-type") == "2" {
			lists.Add(1)
			fmt.Fprint(w, list.String())
			return
		}
		if reads.Add(1) == readAtOnce {
			close(together)
		}
		select {
		case <-together:
		case <-r.Context().Done():
			return
		}
		id := strings.TrimPrefix(path.Base(path.Dir(r.URL.Path)), uploadsFolder)
		var turn int64
		_, _ = fmt.Sscanf(path.Base(r.URL.Path), sessionObject+"%d", &turn)
		text, _ := json.Marshal(store.Session{ID: store.SessionID(id), Turn: turn})
		w.Header().Set("Last-Modified", time.Unix(1_000_000_000, 0).UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"tag"`)
		_, _ = w.Write(text)
	}))
	defer server.Close()
	sessions, err := storeAt(t, server.URL, 5*time.Second).Sessions(t.Context())
	if err != nil || len(sessions) != count {
		t.Fatalf("%d sessions, %v; want %d", len(sessions), err, count)
	}
	for _, session := range sessions {
		if session.Turn != latest {
			t.Errorf("session %s is that of turn %d, want %d", session.ID, session.Turn, latest)
		}
	}
	if lists.Load() != 1 || reads.Load() != count {
		t.Errorf("%d lists and %d reads, want one and %d", lists.Load(), reads.Load(), count)
	}
}
