package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// TestTheQuotaOfFiles counts empty files too, and what a delete frees.
func TestTheQuotaOfFiles(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner alice {", "\tmax_files 3", "}")
	const text = "maximum allowed package file count exceeded"
	refused := func(path string, body io.Reader) {
		t.Helper()
		got, err := s.try(http.MethodPut, path, "alice", body)
		if err != nil || got.status != http.StatusForbidden || got.text() != text {
			t.Errorf("%s: %d %s, %v; want 403 %s", path, got.status, got.text(), err, text)
		}
	}
	s.put(filePath("alice", "p", "1", "a"), nil)
	s.put(filePath("alice", "p", "1", "b"), nil)
	s.put(filePath("alice", "q", "1", "a"), nil)
	refused(filePath("alice", "p", "1", "c"), strings.NewReader(""))
	refused(filePath("alice", "p", "2", "a"), strings.NewReader("new version"))
	refused(filePath("alice", "r", "1", "a"), unsized{bytes.NewReader(pattern(1, 100_000))})
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %s\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
		filePath("alice", "p", "1", "c"), s.port, basic("alice", password))
	if got := s.exchange(head, nil); got.status != http.StatusForbidden || !got.closes {
		t.Errorf("before the body: status is %d, closes %v; want 403, true", got.status, got.closes)
	}
	s.want(409, http.MethodPut, filePath("alice", "p", "1", "a"), "alice", nil) // before the quota
	s.want(201, http.MethodPut, filePath("bob", "p", "1", "a"), "bob", nil)
	s.kill()
	if out := s.mustCommand("rebuild", "--root", s.root); !strings.Contains(out, "the database is rebuilt") {
		t.Errorf("rebuild prints %q", out)
	}
	s.start(s.site("owner alice {", "\tmax_files 3", "}"))
	refused(filePath("alice", "p", "1", "c"), strings.NewReader("")) // counted anew from the journal
	s.want(204, http.MethodDelete, versionPath("alice", "p", "1"), "alice", nil)
	s.put(filePath("alice", "p", "1", "a"), nil)
	s.put(filePath("alice", "p", "1", "b"), nil)
	refused(filePath("alice", "p", "1", "c"), strings.NewReader(""))
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
		s.eventually("bytes of the upload came", func() bool { return int(s.metric("uploads")) == len(under) })
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

// TestBusyBeginsLeaveNoUploads, of which a user may have 100. A begin without bytes needs no slot.
// Seen to fail with an upload that stays when its first request is refused: the last begin was 503.
func TestBusyBeginsLeaveNoUploads(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_user_uploads 1")
	body := newSlowBody(t, pattern(1, 100_000))
	held := make(chan error, 1)
	go func() {
		got, err := s.try(http.MethodPut, filePath("alice", "p", "1", "held"), "alice", body)
		if err == nil && got.status != http.StatusCreated {
			err = fmt.Errorf("the answer is %d %s", got.status, got.text())
		}
		held <- err
	}()
	<-body.half
	s.eventually("bytes of the upload came", func() bool { return s.metric("uploads") == 1 })
	path := filePath("alice", "p", "1", "f")
	s.beginUpload(path)
	for range 101 {
		got := s.want(http.StatusServiceUnavailable, http.MethodPut, path, "alice", []byte("bytes"), interop, incomplete)
		if got.header.Get("Retry-After") == "" || got.header.Get("Location") != "" {
			t.Fatalf("a busy begin is answered %v, want Retry-After and no Location", got.header)
		}
	}
	close(body.goOn)
	if err := <-held; err != nil {
		t.Errorf("the upload that was held: %v", err)
	}
	s.want(http.StatusCreated, http.MethodPut, path, "alice", []byte("bytes"), interop, incomplete)
	if left := s.sessions(); len(left) != 2 {
		t.Errorf("the uploads are %q, want the first and the last one", left)
	}
}

// TestListsOfChecksumsAreUploads too, which are limited, and a request without a list is none.
// Seen to fail with lists that take no slot.
func TestListsOfChecksumsAreUploads(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_user_uploads 1")
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	publish, sums := versionPath("alice", "p", "1")+"?publish", sumsOf(map[string]string{"f": "x"})
	body := newSlowBody(t, sums)
	held := make(chan answer, 1)
	go func() {
		got, err := s.try(http.MethodPost, publish, "alice", body)
		if err != nil {
			t.Error(err)
		}
		held <- got
	}()
	<-body.half
	s.eventually("bytes of the list came", func() bool { return s.metric("uploads") == 1 })
	if got := s.want(503, http.MethodPost, publish, "alice", sums); got.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", got.header)
	}
	s.want(200, http.MethodPost, publish, "alice", nil)
	close(body.goOn)
	if got := <-held; got.status != 200 {
		t.Errorf("the list that was held: %d %s", got.status, got.text())
	}
	s.want(200, http.MethodPost, publish, "alice", sums)
}

// announce begins an upload of which the given bytes come, and no more while the
// connection is open. It waits until the server has heard of an upload without bytes.
func (s *server) announce(path, user string, size int64, came []byte) net.Conn {
	s.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %s\r\nContent-Length: %d\r\n", path, s.port, basic(user, password), size)
	if len(came) == 0 {
		head += "Expect: 100-continue\r\n"
	}
	if _, err := conn.Write(append([]byte(head+"\r\n"), came...)); err != nil {
		s.Fatal(err)
	}
	if len(came) == 0 {
		const want = "HTTP/1.1 100 Continue\r\n\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			s.Fatalf("the server says %q, %v; want %q", got, err, want)
		}
	}
	return conn
}

// TestUploadsInProgressCountAgainstTheQuota: many of which nobody sees the end do not
// hold more than the owner may have.
func TestUploadsInProgressCountAgainstTheQuota(t *testing.T) {
	t.Parallel()
	const quota, size = 16 << 20, 12 << 20
	s := startServer(t, "owner alice {", fmt.Sprintf("\tquota %d", quota), "}")
	s.announce(filePath("alice", "p", "1", "f"), "alice", size, pattern(1, size-1))
	s.eventually("most of the first came", func() bool { return s.held() > 10<<20 })
	got, err := s.try(http.MethodPut, filePath("alice", "p", "2", "f"), "alice", unsized{bytes.NewReader(pattern(2, size))})
	if err != nil || got.status != http.StatusForbidden || got.text() != "maximum allowed package storage quota exceeded" {
		t.Errorf("the second: %d %s, %v", got.status, got.text(), err)
	}
	s.want(403, http.MethodPut, filePath("alice", "p", "3", "f"), "alice", pattern(3, size))
	s.put(filePath("alice", "p", "4", "f"), pattern(4, 1<<20))
	s.want(201, http.MethodPut, filePath("bob", "p", "1", "f"), "bob", pattern(5, size))
}

// held is how many bytes uploads in progress have on disk.
func (s *server) held() (bytes int64) {
	s.Helper()
	uploads, err := filepath.Glob(filepath.Join(s.root, "blobs", "tmp", "*"))
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range uploads {
		if info, err := os.Stat(name); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

// TestADrippingUploadIsEnded, though it never stalls.
func TestADrippingUploadIsEnded(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_uploads 1", "max_user_uploads 1", "upload_stall_timeout 1s", "upload_least_rate 1MiB")
	conn := s.announce(filePath("bob", "p", "1", "f"), "bob", 1<<30, []byte("x"))
	answered := make(chan string, 1)
	go func() {
		head := make([]byte, len("HTTP/1.1 408"))
		_, _ = io.ReadFull(conn, head)
		answered <- string(head)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ended := time.NewTimer(patience)
	defer ended.Stop()
	for got := ""; got == ""; {
		select {
		case got = <-answered:
			if got != "HTTP/1.1 408" {
				t.Errorf("the answer begins %q", got)
			}
		case <-tick.C:
			_, _ = conn.Write([]byte("x"))
		case <-ended.C:
			t.Fatal("the drip is not ended")
		}
	}
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
}
