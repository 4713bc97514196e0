package integration

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl runs curl to its end; it fails for a status of 400 and more.
func curl(t testing.TB, arguments ...string) string {
	t.Helper()
	output, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--fail-with-body"}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

func sumOfFile(t testing.TB, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// sourceTarball packs the project's own sources.
func sourceTarball(t testing.TB, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip := gzip.NewWriter(file)
	archive := tar.NewWriter(zip)
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	for _, end := range []func() error{archive.Close, zip.Close} {
		if err == nil {
			err = end()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// patternFile writes size bytes without holding them in memory.
func patternFile(t testing.TB, name string, size int64) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for seed := 0; size > 0; seed++ {
		n, err := file.Write(pattern(seed, int(min(size, 1<<20))))
		if err != nil {
			t.Fatal(err)
		}
		size -= int64(n)
	}
}

// startSecure starts a site over plain HTTP and the same over HTTPS, with a
// certificate of Caddy's own authority.
func (s *server) startSecure(settings ...string) (port int, authority string) {
	s.Helper()
	return s.startSecureWith(func(text string) string { return text }, settings...)
}

// startSecureWith is startSecure with a Caddyfile that is changed before.
func (s *server) startSecureWith(change func(string) string, settings ...string) (port int, authority string) {
	s.Helper()
	port = freePort(s)
	text := strings.Replace(s.site(settings...), "{\n", "{\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1)
	site := strings.Replace(s.siteAt(port, s.root, settings...), fmt.Sprintf("http://127.0.0.1:%d {\n", port), fmt.Sprintf("https://localhost:%d {\n\ttls internal\n", port), 1)
	s.start(change(text + site))
	authority = filepath.Join(s.dir, "data", "caddy", "pki", "authorities", "local", "root.crt")
	s.eventually("there is a certificate", func() bool {
		return exec.Command("curl", "--silent", "--output", os.DevNull, "--cacert", authority, fmt.Sprintf("https://localhost:%d/", port)).Run() == nil
	})
	return port, authority
}

// TestRealFiles publishes and downloads real files with curl, byte for byte, over
// plain HTTP and over HTTPS with a certificate of Caddy's own authority.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{"caddy": caddyBinary}
	for _, name := range []string{"source.tar.gz", "empty.bin", "large.bin"} {
		files[name] = filepath.Join(dir, name)
	}
	sourceTarball(t, files["source.tar.gz"])
	patternFile(t, files["empty.bin"], 0)
	size := int64(64 << 20)
	if isLong() {
		size = 1 << 30
	}
	patternFile(t, files["large.bin"], size)

	s := newServer(t)
	secure, authority := s.startSecure()

	for version, carrier := range map[string]struct {
		base  string
		flags []string
	}{
		"http-1.1":  {fmt.Sprintf("http://127.0.0.1:%d", s.port), []string{"--http1.1"}},
		"https-1.1": {fmt.Sprintf("https://localhost:%d", secure), []string{"--http1.1", "--cacert", authority}},
		"https-2":   {fmt.Sprintf("https://localhost:%d", secure), []string{"--http2", "--cacert", authority}},
	} {
		t.Run(version, func(t *testing.T) {
			for name, local := range files {
				url := carrier.base + filePath("alice", "real", version, name)
				sum := sumOfFile(t, local)
				flags := func(more ...string) []string { return append(append(more, carrier.flags...), url) }
				used := curl(t, flags("--user", "alice:"+password, "--header", "X-Checksum-Sha256: "+sum, "--upload-file", local, "--write-out", "%{http_version}")...)
				if want := strings.TrimPrefix(strings.TrimPrefix(version, "https-"), "http-"); used != want {
					t.Errorf("%s was published over HTTP %s, want %s", name, used, want)
				}
				got := filepath.Join(dir, version+"-"+name)
				curl(t, flags("--output", got)...)
				if sumOfFile(t, got) != sum {
					t.Errorf("%s came back changed", name)
				}
				if name == "large.bin" {
					// Cut in the middle, and go on from there.
					if err := os.Truncate(got, size/2); err != nil {
						t.Fatal(err)
					}
					curl(t, flags("--continue-at", "-", "--output", got)...)
					if sumOfFile(t, got) != sum {
						t.Errorf("%s resumed came back changed", name)
					}
				}
				if err := os.Remove(got); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	s.eventually("each content is stored once", func() bool { // copies are deleted in the background
		committed, uploads := s.blobs()
		return len(committed) == len(files) && len(uploads) == 0
	})
}

func TestDeletedBytesLeaveTheDisk(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const files = 300
	for i := range files {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 100))
	}
	s.put(filePath("alice", "p", "2", "same-as-7"), pattern(7, 100))
	s.put(filePath("alice", "p", "2", "own"), pattern(files, 100))
	s.eventually("equal content is stored once", func() bool {
		committed, _ := s.blobs()
		return len(committed) == files+1
	})
	s.want(http.StatusNoContent, http.MethodDelete, versionPath("alice", "p", "1"), "alice", nil)
	s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "p", "1", "f7"), "alice", nil)
	s.eventually("the version's bytes are gone", func() bool {
		committed, _ := s.blobs()
		return len(committed) == 2
	})
	s.wantBytes(filePath("alice", "p", "2", "same-as-7"), pattern(7, 100))
	s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "p", "2", "same-as-7"), "alice", nil)
	s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "p", "2", "own"), "alice", nil)
	s.want(http.StatusNotFound, http.MethodDelete, versionPath("alice", "p", "2"), "alice", nil)
	s.eventually("all bytes are gone", func() bool {
		committed, _ := s.blobs()
		return len(committed) == 0
	})
	s.put(filePath("alice", "p", "1", "f7"), []byte("published again"))
	s.wantBytes(filePath("alice", "p", "1", "f7"), []byte("published again"))
}
