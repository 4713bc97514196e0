package integration

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// storeKept is a registry of a server that has ended, and what its clients know.
type storeKept struct {
	root    string
	clients clients
}

// keepStores makes a store, as it is after the server was closed and, with more in
// it, after it was killed. Its journal has many segments, because the binary that
// makes it was told of a smaller size.
func keepStores(t *testing.T) (closed, killed storeKept) {
	t.Helper()
	s := newServer(t)
	s.binary = mutant(t, edit{"module/journal/journal.go", "DefaultSegmentSize = 4 << 20", "DefaultSegmentSize = 16 << 10"})
	all := newClients(4)
	for _, h := range all {
		h.size = func(random *rand.Rand) int { return 1 + random.IntN(300_000) }
	}
	keep := func(name string) storeKept {
		kept := storeKept{filepath.Join(s.dir, name), all.clone()}
		copyStore(t, s.root, kept.root)
		return kept
	}
	s.start(s.site())
	all.each(t, func(h *history) error { return h.operate(s, 100) })
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	closed = keep("closed")
	s.start(s.site())
	all.each(t, func(h *history) error { return h.operate(s, 100) })
	s.kill()
	return closed, keep("killed")
}

// databaseFiles are those of the metadata that a bit is flipped in, by kind, with
// the share of each kind.
var databaseFiles = []struct {
	pattern string
	share   int
}{
	{"*.mem", 4}, {"*.sst", 4}, {"MANIFEST", 3}, {"journal/*.jsonl", 4}, {"journal/*.jsonl.gz", 4},
	{"*.vlog", 1}, {"DISCARD", 1}, {"KEYREGISTRY", 1},
}

// filesOf returns the files of a kind that are not empty.
func filesOf(t testing.TB, root, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "metadata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == 0 // a log that is set aside for the next memtable
	})
}

// schedule returns the kinds of so many flips: each kind of file that a store has,
// and then again those of a larger share.
func schedule(t testing.TB, root string, count int) (kinds []string) {
	t.Helper()
	for round := 0; ; round = (round + 1) % 4 {
		for _, kind := range databaseFiles {
			if kind.share > round && len(filesOf(t, root, kind.pattern)) > 0 {
				kinds = append(kinds, kind.pattern)
			}
			if len(kinds) == count {
				return kinds
			}
		}
	}
}

// TestBitFlips flips bits in copies of a store that was closed and of one that was
// killed.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	flips, copies := 8, 2 // of each store's metadata; of a store with 20 damaged blobs
	if isLong() {
		flips, copies = 100, 50
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	closed, killed := keepStores(t)
	t.Run("metadata", func(t *testing.T) { flipMetadata(t, closed, killed, flips, seed) })
	t.Run("blobs", func(t *testing.T) {
		for number := range copies {
			t.Run(fmt.Sprint(number), func(t *testing.T) {
				t.Parallel()
				flipBlobs(t, closed, rand.New(rand.NewPCG(seed, uint64(number))))
			})
		}
	})
}

// flipMetadata flips one bit in a copy of a store, again and again. Nothing panics,
// and nothing is lost without a word: the store has all that was acknowledged, made
// anew from what is good if need be, or it answers that it is not available and says
// why.
func flipMetadata(t *testing.T, closed, killed storeKept, flips int, seed uint64) {
	var mu sync.Mutex
	outcomes := make(map[string]int)
	t.Run("flips", func(t *testing.T) {
		for name, kept := range map[string]storeKept{"closed": closed, "killed": killed} {
			for number, kind := range schedule(t, kept.root, flips) {
				t.Run(fmt.Sprintf("%s %d %s", name, number, filepath.Base(kind)), func(t *testing.T) {
					t.Parallel()
					outcome := serveFlipped(t, kept, kind, rand.New(rand.NewPCG(seed, uint64(number))))
					mu.Lock()
					defer mu.Unlock()
					outcomes[kind+": "+outcome]++
				})
			}
		}
	})
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%3d %s", outcomes[outcome], outcome)
	}
	for _, kind := range databaseFiles {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(outcomes)), func(outcome string) bool { return strings.HasPrefix(outcome, kind.pattern+":") }) {
			t.Errorf("no bit was flipped in %s", kind.pattern)
		}
	}
}

// serveFlipped serves a copy of a store with one bit flipped, and says what came of
// it.
func serveFlipped(t *testing.T, kept storeKept, kind string, random *rand.Rand) string {
	s := newServer(t)
	s.faults = []string{"damaged", `"msg":"badger"`}
	copyStore(t, kept.root, s.root)
	names := filesOf(t, s.root, kind)
	name := names[random.IntN(len(names))]
	before, lines := uncompressed(t, name), strings.LastIndex(readFile(t, name), "\n")
	offset := flipBit(t, name, random)
	t.Logf("%s, byte %d", strings.TrimPrefix(name, s.root), offset)
	// Behind the lines of a segment that is written to are bytes that mean nothing.
	isHarmless := before != "" && uncompressed(t, name) == before || strings.HasSuffix(name, ".jsonl") && offset > lines

	s.start(s.site())
	err := kept.clients.try(func(h *history) error {
		_, err := h.look(s)
		return err
	})
	isSaid := strings.Contains(s.logText(), "stored data is damaged")
	if errors.Is(err, errUnavailable) {
		if !isSaid {
			t.Errorf("not available, and the log does not say why:\n%s", s.logTail())
		}
		s.want(http.StatusServiceUnavailable, http.MethodPut, filePath("alice", "new", "1", "f"), "alice", []byte("new"))
		if _, is := s.health(); is.Healthy || !strings.Contains(strings.Join(is.Problems, "\n"), "stored data is damaged") {
			t.Errorf("not available, and health is %+v", is)
		}
		return "not available"
	}
	if err != nil {
		t.Error(err)
	}
	s.put(filePath("alice", "new", "1", "f"), []byte("new"))
	aside, err := filepath.Glob(filepath.Join(s.root, "metadata", "damaged-*"))
	switch {
	case err != nil:
		t.Error(err)
	case len(aside) > 0 && !isSaid:
		t.Errorf("the database was rebuilt, and the log does not say why:\n%s", s.logTail())
	case len(aside) > 0:
		return "rebuilt from the journal"
	case strings.Contains(s.logText(), "the changes it lacked are made again"):
		return "replayed from the journal"
	case strings.HasPrefix(kind, "journal/") && !isHarmless:
		// A segment that is not needed now: only verifying reads it, and the scrub, which
		// repairs it.
		output, err := s.verify()
		if (err == nil || !strings.Contains(output, "journal")) && !strings.Contains(s.logText(), "the journal is damaged") {
			t.Errorf("verify: %v\n%s", err, output)
		}
		return "found by verifying"
	}
	return "all is there"
}

// uncompressed returns what a sealed segment of the journal holds. A bit of its
// head, such as of the time, can change without changing that. Nothing for any other
// file, or when it cannot be read.
func uncompressed(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		return ""
	}
	return string(text)
}

// verify has the running server verify its registry.
func (s *server) verify() (output string, err error) {
	s.Helper()
	return s.caddy("generic-registry", "verify", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin))
}
