package bucket

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// bucketAt is a bucket of a server, in which the object MARK is to be always there.
func bucketAt(t *testing.T, server string) *Bucket {
	t.Helper()
	return bucketWith(t, server, SmallestPart, time.Second)
}

// bucketWith is bucketAt with parts of a size, and a time for each request.
func bucketWith(t *testing.T, server string, size int64, timeout time.Duration) *Bucket {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Settings{
		Server: Server{Host: at.Host}, Name: "artifacts", Region: "us-east-1", Key: "key", Secret: "secret",
		PartSize: size, Timeout: timeout,
	}, "MARK", size, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestWhatTheConfigurationIsToBlameFor is told from what may pass.
func TestWhatTheConfigurationIsToBlameFor(t *testing.T) {
	for code := range refusals {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
		}))
		_, err := bucketAt(t, server.URL).Read(t.Context(), "key")
		if !store.IsState(err) {
			t.Errorf("%s: error is %v, and a server that was right once may say it", code, err)
		}
		if err := Refused(err); store.IsState(err) || !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: the first use is %v, want a fault of the configuration", code, err)
		}
		server.Close()
	}
}

// TestAServerThatIsBack is found by asking for the mark, when nobody else asks: until then
// nobody may be sent here. Seen to fail with a list that says nothing of the server's health
// when its reader has seen enough.
func TestAServerThatIsBack(t *testing.T) {
	var away atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, "<ListBucketResult><Contents><Key>MARK</Key><Size>4</Size></Contents></ListBucketResult>")
	}))
	defer server.Close()
	b := bucketAt(t, server.URL)
	var told waiting.Lasting
	for _, isAway := range []bool{true, false} {
		away.Store(isAway)
		if !b.health.isDue() {
			t.Errorf("away is %v, and nobody is about to ask", isAway)
		}
		b.ask(t.Context(), &told)
		if fault := b.Fault(); (fault != nil) != isAway {
			t.Errorf("away is %v, and the fault is %v", isAway, fault)
		}
	}
	if b.health.isDue() {
		t.Error("a server that has just answered is to be asked again")
	}
}
