package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestReloadsUnderLoad: every reload is accepted, no request gets a 5xx, no
// acknowledged publish is lost, and nothing is left behind.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "warm", "1", "up"), []byte("x"))
	s.client.CloseIdleConnections()
	goroutines, descriptors := s.goroutines(), s.descriptors()

	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	var mu sync.Mutex
	acknowledged := make(map[string][]byte)
	var bad, resets atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				path, content := filePath("alice", fmt.Sprint("load", i), fmt.Sprint(n), "f"), pattern(i*100_000+n, 3000)
				got, err := s.try(http.MethodPut, path, "alice", bytes.NewReader(content))
				switch {
				case err != nil: // Caddy swaps sockets: some connections are reset
					resets.Add(1)
				case got.status >= 500:
					bad.Add(1)
					t.Errorf("%s: %d %s", path, got.status, got.text())
				case got.status == http.StatusCreated:
					mu.Lock()
					acknowledged[path] = content
					mu.Unlock()
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	for i := range 20 {
		before := count()
		s.eventually("the clients go on", func() bool { return count() >= before+20 })
		size := fmt.Sprintf("max_file_size %dMiB", i+1)
		reserve := fmt.Sprintf("\treserve %dMiB", 100+i)
		if err := s.reload(s.site(size, "blobs filesystem {", reserve, "}")); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	cancel()
	clients.Wait()
	for path, content := range acknowledged {
		s.wantBytes(path, content)
	}
	t.Logf("%d publishes, %d connections reset", len(acknowledged), resets.Load())
	s.client.CloseIdleConnections()
	s.eventually("goroutines and descriptors are back", func() bool {
		return s.goroutines() <= goroutines+5 && s.descriptors() <= descriptors+5
	})
}

func TestChangedSettingsTakeEffect(t *testing.T) {
	t.Parallel()
	s := startServer(t, "max_file_size 1KiB")
	body := pattern(1, 2000)
	path := filePath("alice", "p", "1", "f")
	s.want(http.StatusRequestEntityTooLarge, http.MethodPut, path, "alice", body)
	s.mustReload(s.site("max_file_size 2KiB"))
	s.put(path, body)
	s.want(http.StatusForbidden, http.MethodDelete, path, "bob", nil)
	s.mustReload(s.site("owner alice {", "\twrite bob", "}"))
	s.want(http.StatusForbidden, http.MethodDelete, path, "alice", nil)
	s.want(http.StatusNoContent, http.MethodDelete, path, "bob", nil)
	s.mustReload(s.site("prefix /files"))
	s.want(http.StatusCreated, http.MethodPut, "/files/alice/generic/p/1/f", "alice", body)

	// The store stays open, and its settings change all the same.
	s.mustReload(s.site("blobs filesystem {", "\treserve 100PiB", "}"))
	s.want(http.StatusInsufficientStorage, http.MethodPut, filePath("alice", "p", "1", "g"), "alice", body)
	s.wantBytes(path, body)
	s.mustReload(s.site())
	s.put(filePath("alice", "p", "1", "g"), body)
}

func TestChangedRoot(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	first, second := s.root, s.root+"-second"
	withSecond := s.global() + s.siteAt(s.port, second)
	s.put(filePath("alice", "p", "1", "f"), []byte("in the first"))

	// An upload that began in the first root ends there, whatever is reloaded.
	body := newSlowBody(t, pattern(1, 400_000))
	done := make(chan answer, 1)
	go func() {
		got, err := s.try(http.MethodPut, filePath("alice", "p", "1", "slow"), "alice", body)
		if err != nil {
			t.Errorf("slow upload: %v", err)
		}
		done <- got
	}()
	<-body.half
	s.eventually("the upload is under way", func() bool { _, uploads := s.blobs(); return len(uploads) == 1 })
	s.mustReload(withSecond)
	s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "p", "1", "f"), "", nil)
	s.put(filePath("alice", "p", "1", "f"), []byte("in the second"))
	s.mustReload(s.site()) // back, while the upload still holds the first
	s.wantBytes(filePath("alice", "p", "1", "f"), []byte("in the first"))
	s.mustReload(withSecond)
	close(body.goOn)
	if got := <-done; got.status != http.StatusCreated {
		t.Errorf("slow upload: %d %s", got.status, got.text())
	}
	s.mustReload(s.site())
	s.wantBytes(filePath("alice", "p", "1", "slow"), pattern(1, 400_000))

	// A root that cannot be is refused, and the configuration stays.
	file := filepath.Join(s.dir, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(s.global() + s.siteAt(s.port, file)); err == nil {
		t.Error("a file is accepted for a root")
	}
	s.wantBytes(filePath("alice", "p", "1", "f"), []byte("in the first"))
	if first == second {
		t.Fatal("the roots are one")
	}
}

func TestTwoSitesShareARoot(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other := freePort(t)
	link := filepath.Join(s.dir, "link")
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.root, link); err != nil {
		t.Fatal(err)
	}
	s.start(s.site() + s.siteAt(other, link, "prefix /p"))
	s.put(filePath("alice", "p", "1", "f"), []byte("shared"))
	got, err := s.tryAt(t.Context(), other, http.MethodGet, "/p/alice/generic/p/1/f", "", nil)
	if err != nil || got.text() != "shared" {
		t.Errorf("the other site answers %d %q: %v", got.status, got.text(), err)
	}
	for name, text := range map[string]string{
		"different settings": s.site() + s.siteAt(other, s.root, "blobs filesystem {", "\treserve 1GiB", "}"),
		"mixed stores":       s.site() + s.siteAt(other, s.root, "blobs filesystem {", "\tdir "+filepath.Join(s.dir, "elsewhere"), "}"),
	} {
		err := s.reload(text)
		if err == nil || !strings.Contains(err.Error(), strings.Fields(name)[0]) && !strings.Contains(err.Error(), "do not belong together") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	s.wantBytes(filePath("alice", "p", "1", "f"), []byte("shared"))
}

func TestTwoProcessesCannotShareARoot(t *testing.T) {
	t.Parallel()
	first := startServer(t)
	second := newServer(t)
	second.root = first.root
	second.launch(second.site())
	if err := second.ended(); err == nil {
		t.Error("the second process ended well")
	}
	log := second.logText()
	for _, part := range []string{"in use by another process", filepath.Join(first.root, "metadata"), "give each its own root"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not say %q:\n%s", part, log)
		}
	}
	first.put(filePath("alice", "p", "1", "f"), []byte("x"))
}

// TestAStoreWithoutRoomDoesNotStopCaddy: other routes serve, a PUT is 507, all
// else 503, and the store opens when there is room.
func TestAStoreWithoutRoomDoesNotStopCaddy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.faults = []string{"not enough free disk space"}
	beside := "http://127.0.0.1:%d {\n\trespond /health 200\n"
	full := s.site("blobs filesystem {", "\treserve 100PiB", "}")
	full = strings.Replace(full, fmt.Sprintf("http://127.0.0.1:%d {\n", s.port), fmt.Sprintf(beside, s.port), 1)
	s.start(full)
	path := filePath("alice", "p", "1", "f")
	s.want(http.StatusOK, http.MethodGet, "/health", "", nil)
	s.want(http.StatusInsufficientStorage, http.MethodPut, path, "alice", []byte("x"))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := s.want(http.StatusServiceUnavailable, method, path, "alice", nil); got.header.Get("Retry-After") == "" {
			t.Errorf("%s: 503 without Retry-After", method)
		}
	}
	if strings.Contains(s.do(http.MethodGet, path, "alice", nil).text(), s.root) {
		t.Error("the answer shows a path")
	}
	s.mustReload(s.site())
	s.put(path, []byte("x"))
}

// TestNewMetadataDoesNotSweepOldBlobs: a metadata directory that was changed by
// mistake, or lost, must not cost the files.
func TestNewMetadataDoesNotSweepOldBlobs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("precious"))
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	s.launch(s.site("metadata badger {", "\tdir "+filepath.Join(s.dir, "elsewhere"), "}"))
	if err := s.ended(); err == nil || !strings.Contains(s.logText(), "of another metadata store") {
		t.Errorf("started with other metadata: %v\n%s", err, s.logTail())
	}
	s.start(s.site())
	s.wantBytes(filePath("alice", "p", "1", "f"), []byte("precious"))
}
