package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestSigtermLetsAnUploadEnd: the process waits for it, and the file is there.
func TestSigtermLetsAnUploadEnd(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(1, 500_000)
	path := filePath("alice", "p", "1", "slow")
	body := newSlowBody(t, content)
	done := make(chan answer, 1)
	go func() {
		got, err := s.try(http.MethodPut, path, "alice", body)
		if err != nil {
			t.Errorf("upload: %v", err)
		}
		done <- got
	}()
	<-body.half
	s.eventually("the upload is under way", func() bool { _, uploads := s.blobs(); return len(uploads) == 1 })
	s.signal(syscall.SIGTERM)
	s.eventually("the server takes no more connections", func() bool {
		_, err := newClient().Get(fmt.Sprintf("http://127.0.0.1:%d/", s.port))
		return err != nil
	})
	close(body.goOn)
	if got := <-done; got.status != http.StatusCreated {
		t.Errorf("upload: %d %s", got.status, got.text())
	}
	if err := s.ended(); err != nil {
		t.Errorf("caddy ended: %v", err)
	}
	s.start(s.site())
	s.wantBytes(path, content)
}

// TestCutUploadLeavesNothing: a client that goes away in the middle.
func TestCutUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "p", "1", "cut")
	cut := io.MultiReader(bytes.NewReader(pattern(1, 300_000)), failing{})
	if got, err := s.try(http.MethodPut, path, "alice", cut); err == nil {
		t.Errorf("cut upload: %d %s", got.status, got.text())
	}
	s.eventually("nothing of it is on disk", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == 0 && len(uploads) == 0
	})
	s.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
	s.put(path, []byte("whole"))
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client goes away") }

// history is what one client knows of its files: each operation that was not
// answered may or may not have happened.
type history struct {
	client int
	files  map[string]possible
	random *rand.Rand
	serial int
}

// possible are the contents that a file may have; nil is not there.
type possible [][]byte

func newHistory(client int) *history {
	return &history{client: client, files: make(map[string]possible), random: rand.New(rand.NewPCG(uint64(client), 1))}
}

func (h *history) path(version, file int) string {
	return filePath("alice", fmt.Sprint("crash", h.client), fmt.Sprint(version), fmt.Sprint("f", file))
}

// work publishes and deletes until the server is gone. It returns what the server
// answered that it must not.
func (h *history) work(s *server, answered *atomic.Int64) error {
	for ; ; answered.Add(1) {
		if gone, err := h.step(s); err != nil || gone {
			return err
		}
	}
}

// step publishes or deletes once.
func (h *history) step(s *server) (gone bool, err error) {
	version, file := h.random.IntN(4), h.random.IntN(6)
	switch h.random.IntN(8) {
	case 0:
		return h.deleteVersion(s, version)
	case 1, 2:
		return h.deleteFile(s, h.path(version, file))
	}
	return h.publish(s, h.path(version, file))
}

func (h *history) publish(s *server, path string) (gone bool, err error) {
	h.serial++
	content := pattern(h.client*1_000_000+h.serial, 1+h.random.IntN(9000))
	if h.serial%5 == 0 {
		content = []byte("the same for all") // shared by many files
	}
	before := h.before(path)
	h.files[path] = append(before, content)
	got, err := s.try(http.MethodPut, path, "alice", bytes.NewReader(content))
	switch {
	case err != nil:
		return true, nil
	case got.status == http.StatusCreated:
		if !before.has(nil) {
			return false, fmt.Errorf("%s: published over what was there", path)
		}
		h.files[path] = possible{content}
	case got.status == http.StatusConflict:
		h.files[path] = before.without(nil)
		if len(h.files[path]) == 0 {
			return false, fmt.Errorf("%s: 409 for a file that is not there", path)
		}
	default:
		return false, fmt.Errorf("%s: %d %s", path, got.status, got.text())
	}
	return false, nil
}

func (h *history) deleteFile(s *server, path string) (gone bool, err error) {
	before := h.before(path)
	h.files[path] = append(before, nil)
	got, err := s.try(http.MethodDelete, path, "alice", nil)
	switch {
	case err != nil:
		return true, nil
	case got.status == http.StatusNoContent:
		h.files[path] = possible{nil}
	case got.status == http.StatusNotFound && before.has(nil):
		h.files[path] = possible{nil}
	default:
		return false, fmt.Errorf("%s: deleting: %d %s", path, got.status, got.text())
	}
	return false, nil
}

func (h *history) deleteVersion(s *server, version int) (gone bool, err error) {
	before := make(map[string]possible)
	for file := range 6 {
		path := h.path(version, file)
		before[path] = h.before(path)
		h.files[path] = append(before[path], nil)
	}
	got, err := s.try(http.MethodDelete, versionPath("alice", fmt.Sprint("crash", h.client), fmt.Sprint(version)), "alice", nil)
	if err != nil {
		return true, nil
	}
	if got.status != http.StatusNoContent && got.status != http.StatusNotFound {
		return false, fmt.Errorf("deleting version: %d %s", got.status, got.text())
	}
	for path, contents := range before {
		if got.status == http.StatusNotFound && !contents.has(nil) {
			return false, fmt.Errorf("%s: its version is said not to be there", path)
		}
		h.files[path] = possible{nil}
	}
	return false, nil
}

func (h *history) before(path string) possible {
	if known, ok := h.files[path]; ok {
		return append(possible(nil), known...)
	}
	return possible{nil}
}

func (p possible) has(content []byte) bool {
	for _, candidate := range p {
		if (candidate == nil) == (content == nil) && bytes.Equal(candidate, content) {
			return true
		}
	}
	return false
}

func (p possible) without(content []byte) (rest possible) {
	for _, candidate := range p {
		if (candidate == nil) != (content == nil) || !bytes.Equal(candidate, content) {
			rest = append(rest, candidate)
		}
	}
	return rest
}

// check compares with what the server has now, which becomes what is known.
func (h *history) check(s *server) error {
	for path, contents := range h.files {
		got, err := s.try(http.MethodGet, path, "alice", nil)
		if err != nil {
			return err
		}
		var found []byte
		switch got.status {
		case http.StatusOK:
			found = append([]byte{}, got.body...)
		case http.StatusNotFound:
		default:
			return fmt.Errorf("%s: %d %s", path, got.status, got.text())
		}
		if !contents.has(found) {
			return fmt.Errorf("%s: found %d bytes (there: %v), which is none of %d possible contents", path, len(found), found != nil, len(contents))
		}
		h.files[path] = possible{found}
	}
	return nil
}

// TestKillLosesNothing kills the process under 8 clients that publish, delete and
// publish again. Nothing acknowledged is lost, no delete is undone, and nothing
// is left on disk but what is there.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	cycles := 20
	if isLong() {
		cycles = 1000
	}
	s := startServer(t)
	histories := make([]*history, 8)
	for i := range histories {
		histories[i] = newHistory(i)
	}
	each := func(call func(h *history) error) {
		t.Helper()
		var running sync.WaitGroup
		for _, h := range histories {
			running.Go(func() {
				if err := call(h); err != nil {
					t.Errorf("client %d: %v", h.client, err)
				}
			})
		}
		running.Wait()
	}
	for cycle := range cycles {
		var answered atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			each(func(h *history) error { return h.work(s, &answered) })
		}()
		s.eventually("the clients are at work", func() bool { return answered.Load() >= int64(20+13*(cycle%7)) || t.Failed() })
		s.kill()
		<-done
		s.client.CloseIdleConnections()
		s.start(s.site())
		each(func(h *history) error { return h.check(s) })
		if t.Failed() {
			t.Fatalf("in cycle %d\n%s", cycle, s.logTail())
		}
	}
	contents := make(map[string]bool)
	for _, h := range histories {
		for _, p := range h.files {
			if p[0] != nil {
				contents[string(p[0])] = true
			}
		}
	}
	s.eventually("just the contents that are there are on disk", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == len(contents) && len(uploads) == 0
	})
	if _, err := os.Stat(filepath.Join(s.root, "blobs", "tmp")); err != nil {
		t.Error(err)
	}
}
