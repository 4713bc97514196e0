package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// registryHealth is what the admin endpoint says of a registry.
type registryHealth struct {
	Root                 string
	Live, Ready, Healthy bool
	Problems             []string
	Metadata, Blobs      struct{ Free, Reserve uint64 }
	Scrub                struct {
		Started, Finished     time.Time
		Blobs, Bytes, Damaged int64
		Rate                  int64
	}
	Damaged struct {
		Count   int
		Digests []string
	}
	Nodes []struct{ Name string }
}

// fromAdmin asks the admin endpoint.
func (s *server) fromAdmin(path string) (status int, body []byte) {
	s.Helper()
	s.eventually("one configuration has the admin endpoint", func() bool { return s.listeners(s.admin) <= 1 })
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.admin, path))
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, body
}

// health is that of the one registry.
func (s *server) health() (status int, is registryHealth) {
	s.Helper()
	status, body := s.fromAdmin("/generic_registry/health")
	var all []registryHealth
	if err := json.Unmarshal(body, &all); err != nil || len(all) != 1 {
		s.Fatalf("health is %d %s: %v", status, body, err)
	}
	return status, all[0]
}

// metric is the value of one of the registry's metrics.
func (s *server) metric(name string, labels ...string) float64 {
	s.Helper()
	_, body := s.fromAdmin("/metrics")
	start := fmt.Sprintf("caddy_generic_registry_%s{%s} ", name, strings.Join(append([]string{fmt.Sprintf("root=%q", s.root)}, labels...), ","))
	for line := range strings.Lines(string(body)) {
		if text, found := strings.CutPrefix(line, start); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				s.Fatal(err)
			}
			return value
		}
	}
	s.Fatalf("no metric %s", start)
	return 0
}

// wantProbes asks the public paths, as anybody.
func (s *server) wantProbes(live, ready bool) {
	s.Helper()
	for probe, passes := range map[string]bool{"live": live, "ready": ready} {
		want, text := http.StatusServiceUnavailable, "unavailable"
		if passes {
			want, text = http.StatusOK, "ok"
		}
		got := s.want(want, http.MethodGet, "/health/"+probe, "", nil)
		if got.text() != text || got.header.Get("Cache-Control") != "no-store" {
			s.Errorf("%s answers %q, %v", probe, got.text(), got.header)
		}
		if head := s.want(want, http.MethodHead, "/health/"+probe, "", nil); len(head.body) > 0 {
			s.Errorf("the head of %s has %q", probe, head.body)
		}
	}
}

// blobOf finds the blob that has a content.
func (s *server) blobOf(content []byte) (found stored) {
	s.Helper()
	committed, _ := s.blobs()
	for _, blob := range committed {
		if blob.size == int64(len(content)) && bytes.Equal(blob.read(s), content) {
			return blob
		}
	}
	s.Fatalf("no blob has the content of %d bytes", len(content))
	return found
}

// flip changes one bit of the blob of a content.
func (s *server) flip(content []byte, at int) {
	s.Helper()
	s.blobOf(content).flip(s, int64(at), 0x20)
}

func (s *server) quarantined() []string {
	s.Helper()
	names, err := filepath.Glob(filepath.Join(s.root, "blobs", "quarantine", "*"))
	if err != nil {
		s.Fatal(err)
	}
	return names
}

// TestDamageIsFoundToldAndHealed: one bit of a blob is another. The scrub finds it;
// log, health and metrics say so; nobody gets the bytes; publishing the content
// under another name brings it back under every name.
func TestDamageIsFoundToldAndHealed(t *testing.T) {
	t.Parallel()
	s := startServer(t, "health /health", "scrub off") // or the next scrub is due in a week
	s.faults = []string{"blob is damaged", "some are damaged", "request failed"}
	rotten, good := pattern(1, 500_000), pattern(2, 1000)
	names := []string{filePath("alice", "p", "1", "f"), filePath("alice", "q", "1", "same")}
	for _, name := range names {
		s.put(name, rotten)
	}
	s.put(filePath("alice", "p", "1", "good"), good)
	s.eventually("each content is stored once", func() bool { committed, _ := s.blobs(); return len(committed) == 2 })
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	locator := s.blobOf(rotten).locator(t)
	s.flip(rotten, 123_456)
	s.start(s.site("health /health"))

	digest := fmt.Sprintf("%x", sha256.Sum256(rotten))
	s.eventually("the scrub is over", func() bool { _, is := s.health(); return !is.Scrub.Finished.IsZero() })
	status, is := s.health()
	if status != http.StatusOK || !is.Live || !is.Ready || is.Healthy || is.Damaged.Count != 1 || is.Damaged.Digests[0] != digest || len(is.Problems) != 1 {
		t.Errorf("health is %d %+v", status, is)
	}
	if is.Scrub.Blobs != 2 || is.Scrub.Bytes != 501_000 || is.Scrub.Damaged != 1 || is.Root != s.root || is.Blobs.Free <= is.Blobs.Reserve {
		t.Errorf("health is %+v", is)
	}
	s.wantProbes(true, true)
	s.wantDamageLogged(digest, locator, 500_000)
	if got := s.metric("damaged_blobs"); got != 1 {
		t.Errorf("the metric of damage is %v", got)
	}
	if got := s.metric("scrubbed_bytes_total"); got != 501_000 {
		t.Errorf("the metric of bytes is %v", got)
	}
	if got := s.quarantined(); len(got) != 1 || !strings.HasSuffix(got[0], "Z-"+strings.ReplaceAll(locator, "/", "-")) {
		t.Errorf("in quarantine is %v", got)
	}
	for _, name := range names {
		s.want(http.StatusInternalServerError, http.MethodGet, name, "", nil)
	}
	s.wantBytes(filePath("alice", "p", "1", "good"), good)

	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	s.start(s.site("health /health", "scrub off")) // and nobody looks for the bytes
	s.eventually("health tells what was found before", func() bool { _, is := s.health(); return is.Damaged.Count == 1 && is.Damaged.Digests[0] == digest })

	s.put(filePath("alice", "healed", "1", "f"), rotten)
	for _, name := range names {
		s.wantBytes(name, rotten)
	}
	if status, is := s.health(); status != http.StatusOK || !is.Healthy || is.Damaged.Count != 0 {
		t.Errorf("healed, and health is %d %+v", status, is)
	}
	if got := s.metric("damaged_blobs"); got != 0 {
		t.Errorf("healed, and the metric of damage is %v", got)
	}
	if len(s.quarantined()) != 1 {
		t.Error("what was in quarantine is gone")
	}
}

func (s *server) wantDamageLogged(digest, locator string, size int64) {
	s.Helper()
	for line := range strings.Lines(s.logText()) {
		var entry struct {
			Level, Msg, Damage, Digest, Locator, Found string
			Size                                       int64
			Quarantined                                bool
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "blob is damaged" {
			continue
		}
		if entry.Level != "error" || entry.Damage != "wrong digest" || entry.Digest != digest || entry.Locator != locator || entry.Size != size ||
			!strings.HasPrefix(entry.Found, "SHA-256 ") || !entry.Quarantined {
			s.Errorf("the log says %s", line)
		}
		return
	}
	s.Error("the log does not tell the damage")
}

// TestScrubIsSetByReload: off finds nothing, a reload that turns it on does.
func TestScrubIsSetByReload(t *testing.T) {
	t.Parallel()
	s := startServer(t, "scrub off")
	s.faults = []string{"blob is damaged", "some are damaged"}
	content := pattern(1, 300_000)
	s.put(filePath("alice", "p", "1", "f"), content)
	s.flip(content, 0)
	if _, is := s.health(); is.Scrub.Rate != 0 || !is.Scrub.Started.IsZero() || !is.Healthy {
		t.Errorf("the scrub is off, and %+v", is)
	}
	s.mustReload(s.site("scrub 100MiB"))
	s.eventually("the damage is known", func() bool { _, is := s.health(); return is.Damaged.Count == 1 && is.Scrub.Rate == 100<<20 })
	s.mustReload(s.site("scrub off"))
	if _, is := s.health(); is.Scrub.Rate != 0 || is.Damaged.Count != 1 {
		t.Errorf("after a reload: %+v", is)
	}
}

// TestHealthThroughStateFaults: a disk below its reserve while the store is open,
// and when it is to be opened.
func TestHealthThroughStateFaults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.faults = []string{"store is not available"}
	reserve := func(half string) []string { return []string{"health /health", half + " {", "\treserve 100PiB", "}"} }

	s.start(s.site(reserve("metadata badger")...))
	s.eventually("health tells why the registry is not open", func() bool { // also between two tries to open it
		_, is := s.health()
		return len(is.Problems) == 1 && strings.Contains(is.Problems[0], "not enough free disk space")
	})
	s.wantProbes(false, false)
	if status, is := s.health(); status != http.StatusServiceUnavailable || is.Root != s.root || is.Live || is.Ready || is.Healthy || len(is.Problems) != 1 {
		t.Errorf("not open: health is %d %+v", status, is)
	}
	if got := s.metric("ready"); got != 0 {
		t.Errorf("not open: the metric ready is %v", got)
	}

	wantSound := func() {
		t.Helper()
		s.eventually("the registry is ready", func() bool { status, _ := s.health(); return status == http.StatusOK })
		s.wantProbes(true, true)
		if _, is := s.health(); !is.Live || !is.Ready || !is.Healthy || len(is.Problems) > 0 || s.metric("ready") != 1 {
			t.Errorf("health is %+v", is)
		}
		if got := s.metric("reserve_bytes", `store="blobs"`); got != 256<<20 {
			t.Errorf("the reserve of blobs is %v", got)
		}
	}
	s.mustReload(s.site("health /health"))
	wantSound()
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	for half, name := range map[string]string{"metadata badger": "metadata: ", "blobs filesystem": "blobs: "} {
		s.mustReload(s.site(reserve(half)...))
		s.wantProbes(true, false)
		if status, is := s.health(); status != http.StatusServiceUnavailable || !is.Live || is.Ready || is.Healthy || len(is.Problems) != 1 || !strings.HasPrefix(is.Problems[0], name) {
			t.Errorf("%s: health is %d %+v", half, status, is)
		}
		if got := s.metric("ready"); got != 0 {
			t.Errorf("%s: the metric ready is %v", half, got)
		}
		s.wantBytes(filePath("alice", "p", "1", "f"), []byte("x"))
		s.mustReload(s.site("health /health"))
		wantSound()
	}
	if got := s.want(http.StatusMethodNotAllowed, http.MethodPost, "/health/ready", "", nil); got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow is %q", got.header.Get("Allow"))
	}
	if status, _ := s.fromAdmin("/generic_registry/health?root=/nowhere"); status != http.StatusNotFound {
		t.Errorf("a root that there is not: %d", status)
	}
}
