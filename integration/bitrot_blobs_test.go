package integration

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// damagedBlobs are how many blobs of a store are damaged at once.
const damagedBlobs = 20

// flipBlobs flips a bit in each of many blobs. Verifying finds all of them and no
// other, none of their bytes is served as if it were whole, and publishing the same
// content heals every file that has it.
func flipBlobs(t *testing.T, kept storeKept, random *rand.Rand) {
	s := newServer(t)
	s.faults = []string{"damaged"}
	copyStore(t, kept.root, s.root)
	originals := s.damage(kept.clients, random)
	s.start(s.site())
	s.wantDamage(originals)
	for _, h := range kept.clients {
		s.wantDamagedFiles(h, originals)
	}
	for digest, content := range originals {
		s.put(filePath("alice", "healing", "1", digest), content)
	}
	kept.clients.each(t, func(h *history) error {
		_, err := h.look(s)
		return err
	})
	s.wantDamage(nil)
}

// damage flips a bit in blobs of files, and returns what they were by digest. The store
// may have bytes besides that were deleted when it ended.
func (s *server) damage(of clients, random *rand.Rand) map[string][]byte {
	s.Helper()
	named := make(map[string]bool)
	for _, h := range of {
		for _, contents := range h.files {
			named[contents[0]] = true
		}
	}
	blobs, _ := s.blobs()
	random.Shuffle(len(blobs), func(i, j int) { blobs[i], blobs[j] = blobs[j], blobs[i] })
	originals := make(map[string][]byte)
	for _, blob := range blobs {
		content := blob.read(s)
		if len(content) == 0 || !named[digestOf(content)] {
			continue
		}
		originals[digestOf(content)] = content
		offset := random.Int64N(max(blob.size, 1))
		blob.flip(s, offset, 1<<random.IntN(8))
		s.Logf("%s, byte %d", strings.TrimPrefix(blob.file, s.root), blob.offset+offset)
		if len(originals) == damagedBlobs {
			return originals
		}
	}
	s.Fatalf("%d blobs of files", len(originals))
	return nil
}

// wantDamage has the running server verify: it must find just that.
func (s *server) wantDamage(damaged map[string][]byte) {
	s.Helper()
	output, err := s.verify()
	if (err != nil) != (len(damaged) > 0) {
		s.Errorf("verify: %v\n%s", err, output)
	}
	found := 0
	for line := range strings.Lines(output) {
		if strings.Contains(line, " bytes at ") {
			found++
		}
	}
	for digest := range damaged {
		if !strings.Contains(output, digest) {
			s.Errorf("verify did not find %s", digest)
		}
	}
	if _, is := s.health(); is.Damaged.Count != len(damaged) || is.Healthy != (len(damaged) == 0) {
		s.Errorf("health is %+v, want %d damaged", is, len(damaged))
	}
	if found != len(damaged) {
		s.Errorf("verify found %d damaged blobs, want %d\n%s", found, len(damaged), output)
	}
}

// wantDamagedFiles: what is damaged is an error, the rest is as it was.
func (s *server) wantDamagedFiles(h *history, damaged map[string][]byte) {
	s.Helper()
	for path, contents := range h.files {
		got := s.do(http.MethodGet, path, "alice", nil)
		_, isDamaged := damaged[contents[0]]
		want := http.StatusOK
		switch {
		case isDamaged:
			want = http.StatusInternalServerError
		case contents[0] == absent:
			want = http.StatusNotFound
		}
		if got.status != want || want == http.StatusOK && digestOf(got.body) != contents[0] {
			s.Errorf("%s: %d with %d bytes, want %d", path, got.status, len(got.body), want)
		}
	}
}
