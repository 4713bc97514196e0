package s3

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestAPrefixThatAnotherOneHasJustMadeItsOwn: between the question and the list another process
// has written what says so. Seen to fail with a claim that takes the object for somebody else's.
func TestAPrefixThatAnotherOneHasJustMadeItsOwn(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("list-type"):
			if asked.Load() == 1 && r.URL.Query().Get("prefix") != "registry/" { // of the missing object: not yet
				fmt.Fprint(w, emptyList)
				return
			}
			fmt.Fprint(w, formatList)
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL.Path)
		case asked.Add(1) == 1:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, coded("NoSuchKey"))
		default:
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			fmt.Fprintln(w, format)
		}
	}))
	defer server.Close()
	if err := storeAt(t, server.URL, 10*time.Second).claim(t.Context()); err != nil {
		t.Error(err)
	}
}
