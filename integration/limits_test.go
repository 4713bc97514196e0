package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// unsized hides the length of a body, which is then sent chunked.
type unsized struct{ io.Reader }

func TestQuotas(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner alice {", "\tquota 1000", "\tmax_versions 2", "}")
	const bytesText, versionsText = "maximum allowed package storage quota exceeded", "maximum allowed package count exceeded"
	refused := func(want, method, path string, body io.Reader) {
		t.Helper()
		got, err := s.try(method, path, "alice", body)
		if err != nil || got.status != http.StatusForbidden || got.text() != want {
			t.Errorf("%s: %d %s, %v", path, got.status, got.text(), err)
		}
	}
	s.put(filePath("alice", "p", "1", "a"), pattern(1, 600))
	refused(bytesText, http.MethodPut, filePath("alice", "p", "1", "b"), bytes.NewReader(pattern(2, 401)))
	refused(bytesText, http.MethodPut, filePath("alice", "p", "1", "b"), unsized{bytes.NewReader(pattern(2, 401))})
	refused(bytesText, http.MethodPut, filePath("alice", "p", "1", "b"), unsized{bytes.NewReader(pattern(2, 100_000))})
	s.want(409, http.MethodPut, filePath("alice", "p", "1", "a"), "alice", pattern(2, 500)) // before the quota
	s.put(filePath("alice", "p", "2", "b"), pattern(2, 400))
	refused(versionsText, http.MethodPut, filePath("alice", "p", "3", "c"), strings.NewReader(""))
	s.put(filePath("alice", "p", "2", "c"), nil)
	s.want(404, http.MethodGet, filePath("alice", "p", "3", "c"), "alice", nil)
	s.want(204, http.MethodDelete, versionPath("alice", "p", "1"), "alice", nil)
	s.put(filePath("alice", "q", "1", "a"), pattern(3, 600))
	s.want(201, http.MethodPut, filePath("bob", "p", "1", "a"), "bob", pattern(4, 5000))
	s.mustReload(s.site("owner alice {", "\tquota 2000", "}"))
	s.put(filePath("alice", "q", "9", "a"), pattern(5, 1000))
	s.eventually("nothing is left of what was refused", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == 5 && len(uploads) == 0
	})
}

// TestQuotaIsExact: of uploads that race, just those that fit are published.
func TestQuotaIsExact(t *testing.T) {
	t.Parallel()
	const clients, fit, size = 16, 5, 10_000
	s := startServer(t, "owner alice {", fmt.Sprintf("\tquota %d", fit*size+size-1), "}")
	var published, refused atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			got, err := s.try(http.MethodPut, filePath("alice", "p", fmt.Sprint(i), "f"), "alice", unsized{bytes.NewReader(pattern(i, size))})
			switch {
			case err == nil && got.status == http.StatusCreated:
				published.Add(1)
			case err == nil && got.status == http.StatusForbidden:
				refused.Add(1)
			default:
				t.Errorf("upload %d: %d %v", i, got.status, err)
			}
		})
	}
	all.Wait()
	if published.Load() != fit || refused.Load() != clients-fit {
		t.Errorf("%d published, %d refused", published.Load(), refused.Load())
	}
}

// TestAQuotaRefusesBeforeTheBody when the length tells.
func TestAQuotaRefusesBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner alice {", "\tquota 1000", "}")
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %s\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
		filePath("alice", "p", "1", "f"), s.port, basic("alice", password))
	if got := s.exchange(head, nil); got.status != http.StatusForbidden || !got.closes {
		t.Errorf("status is %d, closes %v", got.status, got.closes)
	}
}

func TestConcurrentUploadsAreLimited(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_uploads 3", "max_user_uploads 2")
	var under []*slowBody
	var all sync.WaitGroup
	hold := func(user, version string) {
		t.Helper()
		body := newSlowBody(t, pattern(len(under), 100_000))
		under = append(under, body)
		all.Go(func() {
			if got, err := s.try(http.MethodPut, filePath(user, "p", version, "f"), user, body); err != nil || got.status != http.StatusCreated {
				t.Errorf("held upload: %d %v", got.status, err)
			}
		})
		<-body.half
		s.eventually("the upload is under way", func() bool { _, uploads := s.blobs(); return len(uploads) == len(under) })
	}
	busy := func(user string) {
		t.Helper()
		got := s.want(503, http.MethodPut, filePath(user, "p", "busy", "f"), user, []byte("x"))
		if got.header.Get("Retry-After") == "" || !strings.HasPrefix(got.text(), "too many uploads") {
			t.Errorf("%v %s", got.header, got.text())
		}
	}
	hold("alice", "1")
	hold("alice", "2")
	busy("alice")
	hold("bob", "1")
	busy("carol")
	for _, body := range under {
		close(body.goOn)
	}
	all.Wait()
	s.put(filePath("alice", "p", "busy", "f"), []byte("x"))
	s.want(201, http.MethodPut, filePath("carol", "p", "busy", "f"), "carol", []byte("x"))
}

func TestAStalledUploadIsEnded(t *testing.T) {
	t.Parallel()
	s := startServer(t, "upload_stall_timeout 200ms")
	body := newSlowBody(t, pattern(1, 100_000))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got answer
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		got, err = s.tryAt(ctx, s.port, http.MethodPut, filePath("alice", "p", "1", "f"), "alice", body)
	}()
	<-answered
	close(body.goOn)
	if err != nil || got.status != http.StatusRequestTimeout {
		t.Errorf("%d %s, %v", got.status, got.text(), err)
	}
	s.eventually("nothing is left of it", func() bool {
		committed, uploads := s.blobs()
		return len(committed)+len(uploads) == 0
	})
	s.put(filePath("alice", "p", "1", "f"), pattern(1, 100_000))
}
