package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// TestClientsContendForFiles: many clients publish, download and delete the same
// few files. Nothing fails, every download is whole and is one of those published,
// and publishes and deletes of a file take turns.
func TestClientsContendForFiles(t *testing.T) {
	t.Parallel()
	rounds := 150
	if isLong() {
		rounds = 5000
	}
	s := startServer(t)
	const clients, files = 8, 3
	contents := make(map[string]bool) // by digest
	for seed := range 4 {
		contents[fmt.Sprintf("%x", sha256.Sum256(pattern(seed, 20_000)))] = true
	}
	var published, deleted [files]atomic.Int64
	var running sync.WaitGroup
	for client := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 7))
			for range rounds {
				file := random.IntN(files)
				path := filePath("alice", "contended", "1", fmt.Sprint("f", file))
				method, content := http.MethodGet, []byte(nil)
				switch random.IntN(4) {
				case 0, 1:
					method, content = http.MethodPut, pattern(random.IntN(4), 20_000)
				case 2:
					method = http.MethodDelete
				}
				got, err := s.try(method, path, "alice", bytes.NewReader(content))
				switch {
				case err != nil:
					t.Errorf("%s: %v", method, err)
				case method == http.MethodPut && got.status == http.StatusCreated:
					published[file].Add(1)
				case method == http.MethodDelete && got.status == http.StatusNoContent:
					deleted[file].Add(1)
				case method == http.MethodGet && got.status == http.StatusOK:
					sum := fmt.Sprintf("%x", sha256.Sum256(got.body))
					if !contents[sum] || got.header.Get("ETag") != `"`+sum+`"` {
						t.Errorf("downloaded %d bytes with SHA-256 %s, ETag %s", len(got.body), sum, got.header.Get("ETag"))
					}
				case method == http.MethodPut && got.status == http.StatusConflict, got.status == http.StatusNotFound && method != http.MethodPut:
				default:
					t.Errorf("%s: %d %s", method, got.status, got.text())
				}
			}
		})
	}
	running.Wait()
	left := make(map[string]bool)
	for file := range files {
		path := filePath("alice", "contended", "1", fmt.Sprint("f", file))
		got := s.do(http.MethodGet, path, "alice", nil)
		there := published[file].Load() - deleted[file].Load()
		if there != 0 && there != 1 || (got.status == http.StatusOK) != (there == 1) {
			t.Errorf("file %d: %d publishes and %d deletes succeeded; now it is %d", file, published[file].Load(), deleted[file].Load(), got.status)
		}
		if got.status == http.StatusOK {
			left[got.header.Get("ETag")] = true
		}
	}
	s.eventually("what is on disk is what is there", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == len(left) && len(uploads) == 0
	})
}

// TestADownloadOutlivesItsFile, its store and its configuration: a client that is
// slow gets all of what it began to read.
func TestADownloadOutlivesItsFile(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(5, 24<<20) // more than the sockets between hold
	path := filePath("alice", "slow", "1", "f")
	s.put(path, content)
	var bodies []io.ReadCloser
	for range 3 {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		bodies = append(bodies, response.Body)
	}
	finish := func(body io.Reader) {
		t.Helper()
		got, err := io.ReadAll(body)
		if err != nil || !slices.Equal(got, content) {
			t.Errorf("%d bytes of %d: %v", len(got), len(content), err)
		}
	}
	s.want(http.StatusNoContent, http.MethodDelete, path, "alice", nil)
	s.eventually("the bytes left the disk", func() bool {
		committed, _ := s.blobs()
		return len(committed) == 0
	})
	finish(bodies[0])
	s.mustReload(s.global() + s.siteAt(s.port, s.root+"-second"))
	s.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
	finish(bodies[1])
	s.mustReload(s.site())
	finish(bodies[2])
	s.put(path, []byte("again"))
}
