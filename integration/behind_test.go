package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMetadataThatIsTooOldDestroysNothing: half of a registry is restored from an older
// copy. Nothing is swept, published or deleted, what is known is read, and health says
// why. The right metadata is put back and all is there; or an administrator says that
// the older one is right, and the registry goes on with it.
func TestMetadataThatIsTooOldDestroysNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.faults = append(s.faults, "nothing is published, deleted or swept")
	metadata, older, newer := filepath.Join(s.root, "metadata"), filepath.Join(s.dir, "older"), filepath.Join(s.dir, "newer")
	first, second := filePath("alice", "p", "1", "first"), filePath("alice", "p", "1", "second")
	stop := func() {
		t.Helper()
		s.signal(syscall.SIGTERM)
		if err := s.ended(); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(aside, by string) {
		t.Helper()
		stop()
		if err := os.Rename(metadata, aside); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(metadata, os.DirFS(by)); err != nil {
			t.Fatal(err)
		}
		s.start(s.site("health /health"))
		s.wantBytes(first, []byte("first")) // waits until the registry is open
	}
	s.put(first, []byte("first"))
	stop()
	if err := os.CopyFS(older, os.DirFS(metadata)); err != nil {
		t.Fatal(err)
	}
	s.start(s.site("health /health"))
	s.put(second, []byte("second"))
	before, _ := s.blobs()

	swap(newer, older)
	s.want(http.StatusNotFound, http.MethodGet, second, "alice", nil)
	s.want(http.StatusServiceUnavailable, http.MethodPut, filePath("alice", "p", "1", "third"), "alice", []byte("third"))
	s.want(http.StatusServiceUnavailable, http.MethodDelete, first, "alice", nil)
	s.wantProbes(true, false)
	if status, is := s.health(); status != http.StatusServiceUnavailable || !strings.Contains(strings.Join(is.Problems, "\n"), "caddy generic-registry sweep --confirm") {
		t.Errorf("health is %d, %q", status, is.Problems)
	}
	if out := s.mustCommand("sweep"); out != "0 blobs deleted\n" {
		t.Errorf("a sweep prints %q", out)
	}

	swap(filepath.Join(s.dir, "unused"), newer)
	s.wantProbes(true, true)
	s.wantBytes(second, []byte("second"))

	swap(filepath.Join(s.dir, "unused too"), older)
	s.wantProbes(true, false)
	s.mustCommand("sweep", "--confirm")
	s.wantProbes(true, true)
	s.put(filePath("alice", "p", "1", "third"), []byte("third"))
	if after, _ := s.blobs(); len(after) != len(before)+1 {
		t.Errorf("there are %d blobs, want the %d of before and the new one: they are not a day old", len(after), len(before))
	}
}

// TestAPublishOverRottenBytesIsGood: a blob has the right size and other bytes, and
// nothing has looked at it. A publish of the content under another name is good, and
// heals the first.
func TestAPublishOverRottenBytesIsGood(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(7, 300_000)
	first, second := filePath("alice", "p", "1", "f"), filePath("alice", "q", "1", "g")
	s.put(first, content)
	s.flip(content, 150_000)
	s.put(second, content)
	s.wantBytes(second, content)
	s.wantBytes(first, content)
}
