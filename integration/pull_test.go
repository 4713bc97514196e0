package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPullFetchesEveryFile of the version that latest stands for, or fails. A published
// SHA256SUMS may leave files out, and is only one of the files.
//
// Seen to fail when a published SHA256SUMS counts as a listing, and when Content-Location is not
// read.
func TestPullFetchesEveryFile(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	contents := map[string][]byte{"a.tar.gz": []byte("archive"), "a.tar.gz.asc": []byte("signature"), "SHA256SUMS": fmt.Appendf(nil, "%x  a.tar.gz\n", sha256.Sum256([]byte("archive")))}
	for name, content := range contents {
		s.put(filePath("alice", "tool", "1.0.0", name), content)
	}
	s.put(filePath("alice", "computed", "1.0.0", "file"), []byte("content"))
	for _, test := range []struct {
		options      string
		pkg, version string
		want         string // what the command says; empty when it fetches everything
	}{
		{"", "tool", "latest", ""},
		{"", "tool", "^1", ""},
		{"", "tool", "1.0.0", ""},
		{"api off", "tool", "1.0.0", "somebody published that SHA256SUMS"},
		{"api off", "tool", "latest", "somebody published that SHA256SUMS"},
		{"api off", "computed", "latest", "fetched 1 files"},
		{"api off\n\t\tbrowse", "tool", "latest", ""},
	} {
		t.Run(test.options+" "+test.pkg+" "+test.version, func(t *testing.T) {
			s := s.in(t)
			s.mustReload(s.site(test.options))
			folder := filepath.Join(t.TempDir(), "back")
			output, err := s.registryClient("pull", "--user", "alice", fmt.Sprintf("http://127.0.0.1:%d%s", s.port, versionPath("alice", test.pkg, test.version)), folder)
			if test.want != "" {
				if !strings.Contains(output, test.want) {
					t.Errorf("pull says %v, want %q\n%s", err, test.want, output)
				}
				return
			}
			if err != nil {
				t.Errorf("pull: %v\n%s", err, output)
			}
			for name, want := range contents {
				if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s is %q, %v; want %q\n%s", name, got, err, want, output)
				}
			}
		})
	}
}
