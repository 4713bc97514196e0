package integration

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchmarkLine is what benchstat takes: a name, a count, values with their units.
var benchmarkLine = regexp.MustCompile(`^Benchmark[A-Z][^\s]*/server=[^\s/]+ [1-9][0-9]*( [0-9.]+ [^\s]+)+$`)

// compared is what the benchmarks measure at their smallest, and what they compare
// it with. The last is the peer, where there is one.
var compared = []struct {
	cells  string // between semicolons
	others string
}{
	{"GET 8 MiB, 1 client; GET 8 MiB, 4 clients", "stock `file_server`; nginx (`sendfile`, `open_file_cache`); sendfile alone; peer"},
	{"GET a range of 4 MiB in the middle, 1 client", "stock `file_server`; sendfile alone; peer"},
	{"GET a version of 8 MiB in 16 files as a tar, 1 client", "stock `file_server`"},
	{"GET 4 KiB, 1 client; GET 4 KiB, 8 clients; GET 4 KiB, 64 clients", "stock `file_server`; stock `respond`, from memory; peer"},
	{"HEAD 4 KiB, 8 clients; GET 4 KiB that has not changed (304), 8 clients", "stock `file_server`; peer"},
	{"GET 4 KiB with a password in the cache, 8 clients; GET 4 KiB with a token, 8 clients", "without credentials"},
	{"publish 4 KiB, a version each, 1 client; publish 4 KiB, a version each, 8 clients; publish 4 KiB, a version each, 32 clients", syncs},
	{"publish 4 KiB, all in one version, 1 client; publish 4 KiB, all in one version, 8 clients; publish 4 KiB, all in one version, 32 clients", syncs},
	{"DELETE files of 4 KiB, 8 clients", "peer; publishing them"},
	{"publish 8 MiB, 1 client", "peer; the disk: write and SHA-256 in turn, fsync; the disk: write and SHA-256 at once, fsync"},
	{"refuse a duplicate of 256 KiB, with Expect: 100-continue; refuse a duplicate of 256 KiB, without Expect", "peer; publishing it"},
	{"memory, idle; memory at 300 files; memory at 300 files, at most; memory at 300 files, a minute later; memory at 300 files, without pages of files", "idle stock Caddy"},
	{"memory, 8 uploads of 256 KiB at once; memory, 20 slow uploads and 20 slow downloads at once", "itself, idle"},
	{"GET 4 KiB beside 20 slow uploads and 20 slow downloads at once, 1 client", "without them"},
	{"publish 4 KiB at 300 files, 32 clients; publish into a version with 30 files, 8 clients; publish into a package with 30 versions, 8 clients", "an empty registry"},
	{"GET any file at 300 files, 8 clients; DELETE at 300 files, 8 clients", "an empty registry"},
	{"start at 300 files, after a clean stop; start at 300 files, after kill -9", "an empty registry"},
	{"disk space at 300 files, every second version deleted; inodes at 300 files, every second version deleted", "a file for each blob"},
	{"DELETE a version with 30 files", "a version with one file"},
	{"DELETE a version with 30 files, until the bytes are gone", "the disk: unlink"},
}

const syncs = "peer; the disk: fsync, rename, fsync of one of 256 directories; the disk: fsync, rename, fsync of 1 directory"

// bench runs the benchmarks and returns what they print.
func bench(t *testing.T, arguments ...string) (stdout, stderr string, err error) {
	t.Helper()
	// Looking at the sources has go test run this again when they change.
	sources, err := filepath.Glob("bench/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience) // it is compiled first
	defer cancel()
	command := exec.CommandContext(ctx, "go", append([]string{"run", "./bench", "-quick", "-dir", t.TempDir(), "-caddy", caddyBinary}, arguments...)...)
	var out, complaint strings.Builder
	command.Stdout, command.Stderr, command.WaitDelay = &out, &complaint, time.Second // for what go run has started
	err = command.Run()
	return out.String(), complaint.String(), err
}

func TestBenchmarksCompareEverything(t *testing.T) {
	peer := startServer(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", peer.port)
	folder := t.TempDir()
	table, chart := filepath.Join(folder, "table.md"), filepath.Join(folder, "chart.svg")
	arguments := []string{"-peer", base, "-peer-auth", "alice:" + password, "-peer-owner", "alice", "-markdown", table, "-svg", chart, "-benchfmt"}
	if !isLong() {
		arguments = append(arguments, "-stock", caddyBinary) // a Caddy without the registry takes long to link
	}
	lines, complaint, err := bench(t, arguments...)
	if err != nil {
		t.Fatalf("%v\n%s", err, complaint)
	}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Benchmark") != benchmarkLine.MatchString(line) {
			t.Errorf("not a line of a benchmark: %q", line)
		}
	}
	if n := strings.Count(lines, "\nBenchmark"); n < 80 {
		t.Errorf("%d lines of benchmarks", n)
	}
	var want []string
	text := svgText(t, chart)
	for _, c := range compared {
		for cell := range strings.SplitSeq(c.cells, "; ") {
			for other := range strings.SplitSeq(strings.Replace(c.others, "peer", strings.TrimPrefix(base, "http://"), 1), "; ") {
				want = append(want, cell+" | "+other)
			}
			if !strings.Contains(text, cell) {
				t.Errorf("the chart does not name %q", cell)
			}
		}
	}
	checkTable(t, table, want)
	peer.eventually("nothing is left on the peer", func() bool { committed, _ := peer.blobs(); return len(committed) == 0 })
}

// checkTable compares the rows of a table with those that it must have, and looks
// whether each has a ratio.
func checkTable(t *testing.T, name string, want []string) {
	t.Helper()
	table, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if secret := ":" + password; strings.Contains(string(table), secret) {
		t.Errorf("the table tells the password of the peer:\n%s", table)
	}
	var got []string
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || strings.HasPrefix(line, "|--") || strings.TrimSpace(cells[1]) == "" {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		got = append(got, cells[1]+" | "+cells[3])
		ratio, times := strings.CutSuffix(strings.ReplaceAll(cells[5], ",", ""), " ×")
		if value, err := strconv.ParseFloat(ratio, 64); !times || err != nil || value <= 0 {
			t.Errorf("the ratio is %q in %s", cells[5], line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("rows of the table:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// svgText is all text of an image, whose lines count as one.
func svgText(t *testing.T, name string) string {
	t.Helper()
	image, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	decoder := xml.NewDecoder(bytes.NewReader(image))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return strings.Join(words, " ")
		}
		if err != nil {
			t.Fatalf("the chart is not XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			words = append(words, strings.Fields(string(text))...)
		}
	}
}

func TestBenchmarksFailOnWrongAnswers(t *testing.T) {
	s := startServer(t)
	behind, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []struct {
		name, says string
		spoil      func(answer *http.Response, body []byte) []byte
	}{
		{"a byte that is another", "wrong bytes between 0 and 4096", func(_ *http.Response, body []byte) []byte {
			body[len(body)-1] ^= 1
			return body
		}},
		{"another status, after the first answers", "status 202 instead of 200", func(answer *http.Response, body []byte) []byte {
			answer.StatusCode = http.StatusAccepted
			return body
		}},
		{"a byte too few, after the first answers", "4095 bytes instead of 4096", func(_ *http.Response, body []byte) []byte { return body[1:] }},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			gets := 0
			proxy := httputil.NewSingleHostReverseProxy(behind)
			proxy.ModifyResponse = func(answer *http.Response) error {
				if answer.Request.Method != http.MethodGet {
					return nil
				}
				gets++
				if strings.Contains(wrong.name, "after") && gets <= 5 { // of one client, so nobody races
					return nil
				}
				body, err := io.ReadAll(answer.Body)
				if err != nil {
					return err
				}
				body = wrong.spoil(answer, body)
				answer.Body = io.NopCloser(bytes.NewReader(body))
				answer.Header.Set("Content-Length", strconv.Itoa(len(body)))
				return nil
			}
			peer := httptest.NewServer(proxy)
			defer peer.Close()
			out, complaint, err := bench(t, "-stock", caddyBinary, "-cells", "^GET 4 KiB, 1 client$", "-peer", peer.URL, "-peer-auth", "alice:"+password, "-peer-owner", "alice")
			if err == nil || !strings.Contains(complaint, wrong.says) {
				t.Errorf("error %v, saying %q and not %q; printed:\n%s", err, complaint, wrong.says, out)
			}
		})
	}
}
