package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestReloadsUnderLoad: 32 clients go on while rules, limits and roots change. Every reload
// is accepted, no request gets a 5xx, no acknowledged publish is lost, and what the process
// holds is as much as before. Caddy swaps sockets, which resets some connections with any
// handler; but no publish is reset once the registry reads its body.
// Seen to fail with a handler that ends the connection of one publish in a hundred.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	const clients = 32
	reloads := 12
	if isLong() {
		reloads = 200
	}
	s := newServer(t)
	roots := []string{s.root, s.root + "-second"}
	site := func(i int) string {
		return s.global() + s.siteAt(s.port, roots[i/3%2],
			fmt.Sprintf("max_file_size %dMiB", i+1), fmt.Sprintf("max_uploads %d", 100+i), fmt.Sprintf("max_user_uploads %d", 100+i),
			"owner alice {", fmt.Sprintf("\twrite alice user%d", i), "}",
			"blobs filesystem {", fmt.Sprintf("\treserve %dMiB", 100+i), "}")
	}
	s.start(site(3)) // so that the second root is made before anything is counted
	s.put(filePath("alice", "warm", "1", "up"), []byte("x"))
	s.mustReload(site(0))
	s.put(filePath("alice", "warm", "1", "up"), []byte("x"))
	s.settle()
	before := s.holds()

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	load := new(loaded)
	for i := range clients {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				load.publish(s, i, n)
			}
		})
	}
	for i := range reloads {
		had := load.count()
		s.eventually("the clients go on", func() bool { return load.count() >= had+20 })
		if err := s.reload(site(i)); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	cancel()
	running.Wait()
	t.Logf("%d reloads: %d publishes were answered, %d were reset before the registry read them", reloads, load.count(), load.resets)
	for _, bad := range load.bad {
		t.Error(bad)
	}
	s.wantAcknowledged(load.acknowledged, func() { s.mustReload(site(0)) }, func() { s.mustReload(site(3)) })
	s.mustReload(site(0))
	s.wantHolds(before)
}

// loaded is what some clients did that publish until they are told to end.
type loaded struct {
	mu           sync.Mutex
	acknowledged map[string][]byte // by path
	bad          []string
	resets       int // before a body was read
}

func (l *loaded) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

func (l *loaded) publish(s *server, client, n int) {
	path := filePath("alice", fmt.Sprint("load", client), fmt.Sprint(n), "f")
	content := pattern(client*100_000+n, 3000)
	var read, again atomic.Bool // the registry reads the body; net/http tries again after that
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GetConn:        func(string) { again.Store(read.Load()) },
		Got100Continue: func() { read.Store(true) },
	})
	got, err := s.tryAt(ctx, s.port, http.MethodPut, path, "alice", bytes.NewReader(content), header{"Expect", "100-continue"})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && !read.Load():
		l.resets++
	case err != nil || again.Load() || got.status != http.StatusCreated:
		l.bad = append(l.bad, fmt.Sprintf("%s: %d %q, %v, tried again: %t; want 201 at the first try", path, got.status, got.text(), err, again.Load()))
	default:
		if l.acknowledged == nil {
			l.acknowledged = make(map[string][]byte)
		}
		l.acknowledged[path] = content
	}
}

// wantAcknowledged wants each file in one of the roots that some reloads lead to.
func (s *server) wantAcknowledged(files map[string][]byte, lead ...func()) {
	s.Helper()
	for _, to := range lead {
		to()
		for path, content := range files {
			got := s.do(http.MethodGet, path, "alice", nil)
			if got.status == http.StatusNotFound {
				continue
			}
			if got.status != http.StatusOK || !bytes.Equal(got.body, content) {
				s.Errorf("%s: %d and %d bytes, want the %d published", path, got.status, len(got.body), len(content))
			}
			delete(files, path)
		}
	}
	for path := range files {
		s.Errorf("%s was acknowledged and is in no root", path)
	}
}

// held is what a process holds.
type held struct {
	goroutines, descriptors int
	heap                    int64 // bytes in use after a collection
}

func (s *server) holds() held {
	s.Helper()
	s.client.CloseIdleConnections()
	return held{s.goroutines(), s.descriptors(), s.heap()}
}

// wantHolds wants a process to hold what it held before, but for what Caddy itself has
// running for a moment.
func (s *server) wantHolds(before held) {
	s.Helper()
	var now held
	s.eventually("goroutines, descriptors and memory are back", func() bool {
		now = s.holds()
		return now.goroutines <= before.goroutines+5 && now.descriptors <= before.descriptors+5 && now.heap <= before.heap+16<<20
	})
	s.Logf("goroutines %d, then %d; descriptors %d, then %d; bytes of memory in use %d, then %d",
		before.goroutines, now.goroutines, before.descriptors, now.descriptors, before.heap, now.heap)
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
	s.eventually("the upload is in progress", func() bool { return s.metric("uploads") == 1 })
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
	for _, part := range []string{"in use by another process", filepath.Join(first.root, "blobs"), "give each its own root"} {
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
