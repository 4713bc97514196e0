package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// answering is a server that gives one answer to all, but to lists.
type answering struct {
	status int
	body   string            // of GET and others; HEAD has none
	header map[string]string // besides
	hangUp bool              // instead of an answer
	silent bool              // no answer at all
	list   string            // what a list answers; empty is a list without objects
}

const emptyList = `<ListBucketResult><Name>artifacts</Name><IsTruncated>false</IsTruncated></ListBucketResult>`

const formatList = `<ListBucketResult><Contents><Key>registry/FORMAT</Key><Size>4</Size></Contents></ListBucketResult>`

func (a answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if a.silent {
		<-r.Context().Done()
		return
	}
	if a.hangUp {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			connection.Close()
		}
		return
	}
	if r.URL.Query().Get("list-type") == "2" {
		if a.list == "" {
			a.list = emptyList
			if strings.HasSuffix(r.URL.Query().Get("prefix"), formatObject) {
				a.list = formatList
			}
		}
		if strings.HasPrefix(a.list, "<Error>") {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, a.list)
		return
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		fmt.Fprint(w, a.body)
	}
}

func coded(code string) string { return "<Error><Code>" + code + "</Code><Message>m</Message></Error>" }

// backendOf is the backend of a server.
func backendOf(t *testing.T, url string, timeout time.Duration) *Backend {
	t.Helper()
	b := &Backend{Endpoint: url, Insecure: true, Bucket: "artifacts", Key: "key", Secret: "secret", Timeout: caddy.Duration(timeout)}
	if err := b.replace(); err != nil {
		t.Fatal(err)
	}
	b.fillDefaults()
	if err := b.validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

// storeAt is a store of a server that was not asked whether it is one of ours.
func storeAt(t *testing.T, url string, timeout time.Duration) *Store {
	t.Helper()
	s, err := newStore(backendOf(t, url, timeout), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestOnlyTheServersWordMakesABlobMissing goes through the ways to fail: nothing but an object
// that is missing, and that no list has, is a missing blob, and nothing but an object of
// another size is damage. What is wrong with one object is no fault of the server. Seen to fail with
// missing that believes every 404, without its look for what is always there, and with an archived
// object that is no decision of the server.
func TestOnlyTheServersWordMakesABlobMissing(t *testing.T) {
	locator := store.NewLocator(1)
	key, archived := "registry/blobs-"+string(locator), coded("InvalidObjectState")
	listed := "<ListBucketResult><Contents><Key>" + key + "</Key><Size>4</Size></Contents></ListBucketResult>"
	for _, test := range []struct {
		name   string
		server answering
		get    error // of reading
		head   error // of asking for the size
	}{
		{"the object is missing", answering{status: 404, body: coded("NoSuchKey")}, store.ErrBlobNotFound, store.ErrBlobNotFound},
		{"the object is missing, and is listed", answering{status: 404, body: coded("NoSuchKey"), list: listed}, store.ErrUnavailable, store.ErrUnavailable},
		{"the object is missing, and so is the bucket", answering{status: 404, body: coded("NoSuchKey"), list: coded("NoSuchBucket")}, store.ErrUnavailable, store.ErrUnavailable},
		{"the bucket is missing", answering{status: 404, body: coded("NoSuchBucket"), list: coded("NoSuchBucket")}, store.ErrUnavailable, store.ErrUnavailable},
		{"a page that is not found", answering{status: 404, body: "<html>not found</html>", list: "<html>not found</html>"}, store.ErrUnavailable, store.ErrUnavailable},
		{"the bucket is another one", answering{status: 404, body: coded("NoSuchKey"), list: emptyList}, store.ErrUnavailable, store.ErrUnavailable},
		{"a 404 without a body, and a list of nothing", answering{status: 404, list: "{}"}, store.ErrUnavailable, store.ErrUnavailable},
		{"no permission", answering{status: 403, body: coded("AccessDenied")}, store.ErrUnavailable, store.ErrUnavailable},
		{"a wrong secret", answering{status: 403, body: coded("SignatureDoesNotMatch")}, store.ErrUnavailable, store.ErrUnavailable},
		{"an expired token", answering{status: 400, body: coded("ExpiredToken")}, store.ErrUnavailable, store.ErrUnavailable},
		{"clocks that differ", answering{status: 403, body: coded("RequestTimeTooSkewed")}, store.ErrUnavailable, store.ErrUnavailable},
		{"too many requests", answering{status: 429, body: coded("TooManyRequests")}, store.ErrUnavailable, store.ErrUnavailable},
		{"a server that is busy", answering{status: 503, body: coded("SlowDown")}, store.ErrUnavailable, store.ErrUnavailable},
		{"a server that fails", answering{status: 500, body: coded("InternalError")}, store.ErrUnavailable, store.ErrUnavailable},
		{"a gateway that fails", answering{status: 502, body: "<html>bad gateway</html>"}, store.ErrUnavailable, store.ErrUnavailable},
		{"a bucket elsewhere", answering{status: 301, body: coded("PermanentRedirect")}, store.ErrUnavailable, store.ErrUnavailable},
		{"an archived object", answering{status: 403, body: archived}, store.ErrUnavailable, store.ErrUnavailable},
		{"a method that is not known", answering{status: 405, body: coded("MethodNotAllowed")}, store.ErrUnavailable, store.ErrUnavailable},
		{"no room", answering{status: 507, body: coded("InsufficientStorage")}, store.ErrNoSpace, store.ErrNoSpace},
		{"a connection that is cut", answering{hangUp: true}, store.ErrUnavailable, store.ErrUnavailable},
		{"no answer", answering{silent: true}, store.ErrUnavailable, store.ErrUnavailable},
		{"another size", answering{status: 200, body: "12345", header: map[string]string{"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "ETag": `"a"`}}, store.ErrDamaged, nil},
		{"the range is beyond the end", answering{status: 416, body: coded("InvalidRange")}, store.ErrDamaged, store.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.server)
			defer server.Close()
			timeout := 10 * time.Second
			if test.server.silent {
				timeout = 200 * time.Millisecond
			}
			s := storeAt(t, server.URL, timeout)
			_, err := s.Open(t.Context(), locator, 4)
			wantKind(t, "reading", err, test.get)
			wantFault := errors.Is(test.get, store.ErrUnavailable) && test.server.body != archived
			if fault := s.Condition().Fault; test.server.status != 404 && test.server.status != 416 && (fault != nil) != wantFault {
				t.Errorf("the condition says %v, want a fault: %v", fault, wantFault)
			}
			_, err = s.Stat(t.Context(), locator)
			if test.head != nil {
				wantKind(t, "asking", err, test.head)
			}
			for what, call := range map[string]func() error{
				"deleting":             func() error { return s.Delete(t.Context(), locator) },
				"putting aside":        func() error { return s.Quarantine(t.Context(), locator) },
				"deleting many":        func() error { _, err := s.DeleteAll(t.Context(), []store.Locator{locator}); return err },
				"walking":              func() error { return s.Walk(t.Context(), func(store.Locator, int64, time.Time) error { return nil }) },
				"reading a session":    func() error { _, err := s.FindSession(t.Context(), store.NewSessionID()); return err },
				"writing":              func() error { return write(t.Context(), s, []byte("four"), 4) },
				"writing what streams": func() error { return write(t.Context(), s, make([]byte, 1<<20), 1<<20) },
			} {
				if what == "reading a session" && test.server.status == http.StatusOK {
					continue // what is there is no session
				}
				err := call()
				if errors.Is(err, store.ErrBlobNotFound) || errors.Is(err, store.ErrDamaged) {
					t.Errorf("%s: error is %v", what, err)
				}
				if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNoSpace) && !errors.Is(err, store.ErrSessionNotFound) {
					t.Errorf("%s: error is %v, which is of no kind that a request is answered by", what, err)
				}
				if what == "reading a session" && errors.Is(err, store.ErrSessionNotFound) != errors.Is(test.get, store.ErrBlobNotFound) {
					t.Errorf("%s: error is %v", what, err)
				}
			}
		})
	}
}

func write(ctx context.Context, s *Store, content []byte, size int64) error {
	w, err := s.Create(ctx, size)
	if err != nil {
		return err
	}
	if _, err = w.Write(content); err == nil {
		_, err = w.Commit(ctx)
	}
	return errors.Join(err, w.Abort())
}

func wantKind(t *testing.T, what string, got, want error) {
	t.Helper()
	for _, kind := range []error{store.ErrBlobNotFound, store.ErrUnavailable, store.ErrDamaged, store.ErrNoSpace} {
		if is := errors.Is(got, kind); is != (kind == want) {
			t.Errorf("%s: error is %v, want %v", what, got, want)
		}
	}
}

// TestAServerThatIsNotThere: a start waits for a server that nobody reaches.
func TestAServerThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	b := backendOf(t, "http://"+listener.Addr().String(), time.Second)
	if _, err := b.OpenBlobs(t.Context(), "", slog.New(slog.DiscardHandler)); !store.IsState(err) {
		t.Errorf("opening: %v is a fault of the configuration, and the server is only away", err)
	}
}
