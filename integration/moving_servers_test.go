//go:build servers

package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// pairs are the stores that a registry of a test may have.
var pairs = []string{"Badger and files", "Badger and S3", "PostgreSQL and files", "PostgreSQL and S3"}

// movedSettings are those that the registry has wherever it is.
var movedSettings = []string{"owner team {", "\twrite alice", "\tdelete alice", "\tpackage frozen* {", "\t\timmutable", "\t}", "}", "releases"}

func (s *server) movedSite(stores []string) string {
	return s.tokenSite(append(stores, movedSettings...)...)
}

// moved is a registry whose copy is compared with it.
type moved struct {
	files  map[string][]byte // published
	drafts map[string][]byte
	token  string
}

// fill publishes files of many sizes, drafts, and what is deleted and replaced since, and
// downloads some of it.
func (s *server) fill(files int) *moved {
	s.Helper()
	m := &moved{files: make(map[string][]byte), drafts: make(map[string][]byte)}
	for i := range files {
		size := []int{0, 1, 100, 4096, 70_000, 300_000}[i%6]
		path := filePath("team", []string{"tool", "Frozen-lib", "other"}[i%3], fmt.Sprintf("1.%d.0", i/15), fmt.Sprint("f", i))
		m.files[path] = pattern(i, size)
		s.put(path, m.files[path])
	}
	large := filePath("team", "tool", "2.0.0", "large")
	m.files[large] = pattern(7, 6_000_000)
	s.put(large, m.files[large])
	for i := range 5 {
		path := filePath("team", "drafts", fmt.Sprint(i), "f")
		m.drafts[path] = pattern(100+i, 5000)
		s.want(http.StatusCreated, http.MethodPut, path+"?draft", "alice", m.drafts[path])
	}
	s.want(http.StatusOK, http.MethodPost, versionPath("team", "drafts", "0")+"?publish", "alice", nil)
	released := filePath("team", "drafts", "0", "f")
	m.files[released] = m.drafts[released]
	delete(m.drafts, released)
	gone := filePath("team", "other", "1.0.0", "gone")
	s.put(gone, []byte("gone"))
	s.want(http.StatusNoContent, http.MethodDelete, gone, "alice", nil)
	for range 3 {
		s.wantBytes(large, m.files[large])
	}
	s.eventually("the downloads are counted", func() bool {
		return strings.Contains(s.want(http.StatusOK, http.MethodGet, "/api/v1/repos/team/tool/releases/tags/2.0.0", "alice", nil).text(), `"download_count":3`)
	})
	m.token = s.token("--name", "ci", "--user", "alice", "--scope", "read,write")
	return m
}

var localPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// shown is what the JSON API says of all: names, IDs, times, users, downloads.
func (s *server) shown() string {
	s.Helper()
	var text strings.Builder
	show := func(path string) []byte {
		got := s.want(http.StatusOK, http.MethodGet, path, "alice", nil)
		text.WriteString(path + " " + localPort.ReplaceAllString(got.text(), "HOST") + "\n")
		return got.body
	}
	for page := 1; ; page++ {
		var listed []struct{ Name, Version string }
		if err := json.Unmarshal(show(fmt.Sprintf("/api/v1/packages/team?limit=50&page=%d", page)), &listed); err != nil {
			s.Fatal(err)
		}
		if len(listed) == 0 {
			break
		}
		for _, version := range listed {
			show(fmt.Sprintf("/api/v1/packages/team/generic/%s/%s/files", version.Name, version.Version))
		}
	}
	for _, pkg := range []string{"tool", "frozen-lib", "other", "drafts"} {
		show("/api/v1/repos/team/" + pkg + "/releases?limit=50")
	}
	return text.String()
}

// wantMoved wants all that was published, and drafts only for who may write them; and the
// token to publish, but not into what is immutable.
func (s *server) wantMoved(m *moved, shown string) {
	s.Helper()
	if got := s.shown(); got != shown {
		s.Errorf("the JSON API does not show what it did:\n%s\nwant\n%s", firstDifference(got, shown), firstDifference(shown, got))
	}
	for path, content := range m.files {
		s.wantBytes(path, content)
	}
	for path, content := range m.drafts {
		s.want(http.StatusNotFound, http.MethodGet, path, "bob", nil)
		if got := s.want(http.StatusOK, http.MethodGet, path, "alice", nil); !bytes.Equal(got.body, content) {
			s.Errorf("the draft %s has %d other bytes", path, len(got.body))
		}
	}
	bearer := header{"Authorization", "Bearer " + m.token}
	s.want(http.StatusCreated, http.MethodPut, filePath("team", "tool", "9.0.0", "by-token"), "", []byte("x"), bearer)
	s.want(http.StatusForbidden, http.MethodDelete, versionPath("team", "frozen-lib", "1.0.0"), "alice", nil)
	if output, err := s.verify(); err != nil {
		s.Errorf("verify: %v\n%s", err, output)
	}
}

// firstDifference is the first line of a text that another one does not have.
func firstDifference(text, other string) string {
	for line := range strings.Lines(text) {
		if !strings.Contains(other, line) {
			return line
		}
	}
	return ""
}

// present waits until a node has told the others that it is there.
func (s *server) present() {
	s.Helper()
	s.eventually("the node is there", func() bool {
		_, is := s.fromAdmin("/generic_registry/health")
		return strings.Contains(string(is), `"nodes"`)
	})
}

// stop ends the server as an administrator does.
func (s *server) stop() {
	s.Helper()
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		s.Errorf("caddy ended with %v", err)
	}
}

// moving runs the command copy from one server's configuration to another's, and returns what
// it prints.
func (s *server) moving(to *server, flags ...string) (string, error) {
	s.Helper()
	command := s.movingCommand(to, flags...)
	output, err := command.CombinedOutput()
	return string(output), err
}

func (s *server) movingCommand(to *server, flags ...string) *exec.Cmd {
	command := exec.Command(s.binary, append([]string{"generic-registry", "copy", "--from", filepath.Join(s.dir, "Caddyfile"), "--to", filepath.Join(to.dir, "Caddyfile")}, flags...)...)
	command.Env = append(s.environment(), "TEST_S3_SECRET="+servers.Secret)
	return command
}

func (s *server) mustMove(to *server, flags ...string) string {
	s.Helper()
	output, err := s.moving(to, flags...)
	if err != nil {
		s.Fatalf("copy: %v\n%s", err, output)
	}
	return output
}

// TestCommandsOfMoving runs those of scale.md, with the stores of a test.
func TestCommandsOfMoving(t *testing.T) {
	t.Parallel()
	commands := blocks(t, "docs/scale.md", "sh")
	if len(commands) != 1 {
		t.Fatalf("scale.md has %d blocks of commands, want that of moving", len(commands))
	}
	source := newNode(t)
	source.start(source.movedSite(nil))
	m := source.fill(30)
	shown := source.shown()
	to, site, _ := newTarget(t, "PostgreSQL and S3")
	files := strings.NewReplacer("/etc/caddy/Caddyfile.new", filepath.Join(to.dir, "Caddyfile"), "/etc/caddy/Caddyfile", filepath.Join(source.dir, "Caddyfile"))
	for line := range strings.Lines(commands[0].text) {
		if line == "sudo systemctl stop caddy\n" {
			source.stop()
			continue
		}
		arguments, is := strings.CutPrefix(line, "sudo -u caddy caddy ")
		if !is {
			t.Fatalf("a line that this test does not know: %s", line)
		}
		command := exec.Command(caddyBinary, strings.Fields(files.Replace(arguments))...)
		command.Env = append(source.environment(), "TEST_S3_SECRET="+servers.Secret)
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
	to.start(site)
	to.wantMoved(m, shown)
}

// newTarget is a Caddy for the stores of a pair, which is not started, with its S3 server.
func newTarget(t *testing.T, pair string) (s *server, site string, s3 *servers.S3) {
	s = newNode(t)
	var stores []string
	if strings.HasPrefix(pair, "PostgreSQL") {
		stores = s.onPostgres(postgresServer(t))
	}
	if strings.HasSuffix(pair, "S3") {
		s3 = servers.StartS3(t)
		stores = append(stores, onS3(s3, "timeout 1m"))
	}
	site = s.movedSite(stores)
	s.writeConfig(site)
	return s, site, s3
}

// TestARegistryMovesUnderPublishes: from one disk to other stores, while clients publish and
// delete; the command is killed in the middle, and run again. Then the source is stopped for
// the last run. Everything is the same afterwards: lists, IDs, digests, downloads, drafts, tokens.
//
// Seen to fail with a copy that forgets what its target has, with names before bytes, with an
// export without downloads, and with half a copy that servers do not know.
func TestARegistryMovesUnderPublishes(t *testing.T) {
	t.Parallel()
	for _, pair := range []string{"PostgreSQL and S3", "Badger and S3"} {
		t.Run(pair, func(t *testing.T) {
			source := newNode(t)
			source.start(source.movedSite(nil))
			m := source.fill(300)
			to, site, s3 := newTarget(t, pair)

			permits := make(chan int, 10_000)
			var clients sync.WaitGroup
			var mu sync.Mutex
			for client := range 2 {
				clients.Go(func() {
					for n := range permits {
						path := filePath("team", "other", fmt.Sprintf("3.%d.%d", client, n/10), fmt.Sprint("f", n))
						content := pattern(n, 20_000)
						got, err := source.try(http.MethodPut, path, "alice", bytes.NewReader(content))
						if err != nil || got.status != http.StatusCreated {
							t.Errorf("publishing: %d, %v", got.status, err)
							return
						}
						if n%7 == 0 {
							source.want(http.StatusNoContent, http.MethodDelete, path, "alice", nil)
							continue
						}
						mu.Lock()
						m.files[path] = content
						mu.Unlock()
					}
				})
			}
			numbers := 0
			publish := func() {
				for range 150 {
					permits <- numbers
					numbers++
				}
			}
			publish()

			killed := source.movingCommand(to)
			if err := killed.Start(); err != nil {
				t.Fatal(err)
			}
			source.eventually("some bytes are copied", func() bool { return blobObjects(t, s3) > 40 })
			if err := killed.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = killed.Wait()
			before := objectTimes(t, s3)

			to.faults = append(to.faults, "")
			if err := to.ends(site); err == nil || !strings.Contains(to.logText(), "half a restore") {
				t.Errorf("a server on half a copy ended with %v\n%s", err, to.logTail())
			}
			publish()
			output := source.mustMove(to)
			if !strings.Contains(output, "stop the source, and run the same command again") {
				t.Errorf("the copy of a source in use says\n%s", output)
			}
			for name, written := range objectTimes(t, s3) {
				if first, was := before[name]; was && !first.Equal(written) {
					t.Errorf("%s was copied again", name)
				}
			}
			publish()
			close(permits)
			clients.Wait()
			shown := source.shown()
			source.stop()
			output = source.mustMove(to)
			if !strings.Contains(output, "source and target are equal") || !strings.Contains(output, "the source had to be stopped for") {
				t.Errorf("the last run says\n%s", output)
			}
			t.Log(output)
			if output, err := source.moving(to); err == nil || !strings.Contains(output, "is not empty") {
				t.Errorf("a copy over one that is done: %v\n%s", err, output)
			}
			moved := to.again(t)
			moved.start(site)
			moved.wantMoved(m, shown)
			moved.kill()
			source.start(source.movedSite(nil)) // which is as it was
			source.wantMoved(m, shown)
		})
	}
}

// again is the server with a log of its own.
func (s *server) again(t testing.TB) *server {
	if err := os.Remove(s.logName()); err != nil {
		t.Fatal(err)
	}
	s.faults = newNode(t).faults
	return s
}

// objectTimes are when the objects of blobs were written.
func objectTimes(t testing.TB, s3 *servers.S3) map[string]time.Time {
	t.Helper()
	times := make(map[string]time.Time)
	for key := range s3.Objects(t) {
		if !strings.HasPrefix(key, "registry/blobs-") {
			continue
		}
		info, err := os.Stat(filepath.Join(s3.Dir, servers.Bucket, key))
		if err != nil {
			t.Fatal(err)
		}
		times[key] = info.ModTime()
	}
	return times
}

// TestBackupsOfEveryPairAreRestoredIntoEveryPair: a backup of changes that others continue, and
// one of what PostgreSQL has.
func TestBackupsOfEveryPairAreRestoredIntoEveryPair(t *testing.T) {
	t.Parallel()
	for _, pair := range []string{"Badger and files", "PostgreSQL and S3"} {
		t.Run("from "+pair, func(t *testing.T) {
			source, site, _ := newTarget(t, pair)
			source.start(site)
			m := source.fill(40)
			backup := filepath.Join(source.dir, "backup")
			source.mustCommand("backup", backup)
			later := filePath("team", "tool", "3.0.0", "later")
			m.files[later] = []byte("later")
			source.put(later, m.files[later])
			if _, notes, err := source.command("backup", backup); strings.HasPrefix(pair, "PostgreSQL") {
				if err == nil || !strings.Contains(notes, "its backups are full ones only") || !strings.Contains(notes, "--full") {
					t.Errorf("a backup that would go on from another: %v\n%s", err, notes)
				}
				source.mustCommand("backup", backup, "--full")
			} else if err != nil {
				t.Errorf("a backup that goes on: %v\n%s", err, notes)
			}
			// Backups of changes do not know the last downloads.
			shown := withoutDownloads(source.shown())
			for _, pair := range pairs {
				t.Run("to "+pair, func(t *testing.T) {
					to, site, _ := newTarget(t, pair)
					restore := func() (string, error) {
						command := exec.Command(caddyBinary, "generic-registry", "restore", backup, "--config", filepath.Join(to.dir, "Caddyfile"))
						command.Env = append(to.environment(), "TEST_S3_SECRET="+servers.Secret)
						output, err := command.CombinedOutput()
						return string(output), err
					}
					if output, err := restore(); err != nil {
						t.Fatalf("restore: %v\n%s", err, output)
					}
					if output, err := restore(); err == nil || !strings.Contains(output, "is not empty") {
						t.Errorf("a restore over what is there: %v\n%s", err, output)
					}
					to.start(site)
					if got := withoutDownloads(to.shown()); got != shown {
						t.Errorf("the JSON API does not show what it did:\n%s\nwant\n%s", firstDifference(got, shown), firstDifference(shown, got))
					}
					to.wantMoved(m, to.shown())
				})
			}
		})
	}
}

var counted = regexp.MustCompile(`"download_count":\d+`)

func withoutDownloads(text string) string { return counted.ReplaceAllString(text, "") }

// TestCopiesThatAreRefused: to the same stores, over something, and to a target in use.
func TestCopiesThatAreRefused(t *testing.T) {
	t.Parallel()
	s3, database := servers.StartS3(t), postgresServer(t)
	source := newNode(t)
	source.start(source.movedSite(nil))
	source.fill(20)
	onBoth := func(s *server, prefix string) string {
		return s.movedSite(s.onPostgres(database, onS3(s3, "prefix "+prefix)))
	}
	other := newNode(t)
	for what, test := range map[string]struct{ site, says string }{
		"the same registry":            {source.movedSite(nil), "share their root"},
		"the same bytes":               {other.movedSite([]string{"blobs filesystem {", "\tdir " + source.root + "/blobs", "}"}), "share their root"},
		"a configuration without any":  {source.global(), "has no generic_registry"},
		"a bucket that does not exist": {strings.Replace(onBoth(other, "x"), servers.Bucket, "nowhere", 1), "bucket"},
	} {
		other.writeConfig(test.site)
		if output, err := source.moving(other); err == nil || !strings.Contains(output, test.says) {
			t.Errorf("%s: %v, want %q in\n%s", what, err, test.says, output)
		}
	}
	used := newNode(t)
	used.start(onBoth(used, "used"))
	used.put(filePath("team", "p", "1", "f"), []byte("f"))
	if output, err := source.moving(used); err == nil || !strings.Contains(output, "is not empty") {
		t.Errorf("over a registry: %v\n%s", err, output)
	}
	used.wantBytes(filePath("team", "p", "1", "f"), []byte("f"))
	used.stop()

	// A node is on the tables of the target, with nothing in them.
	empty := newNode(t)
	fresh := func(prefix string) string {
		return strings.Replace(onBoth(empty, prefix), "metadata postgres {", "metadata postgres {\n\t\tschema fresh", 1)
	}
	empty.start(fresh("of-the-node"))
	empty.present()
	to := newNode(t)
	to.writeConfig(strings.ReplaceAll(fresh("of-the-copy"), empty.root, to.root))
	source.mustMove(to) // bytes only
	source.stop()
	if output, err := source.moving(to); err == nil || !strings.Contains(output, "has the tables open") {
		t.Errorf("to tables that a node has open: %v\n%s", err, output)
	}
	empty.stop()
	output := source.mustMove(to)
	if !strings.Contains(output, "source and target are equal") {
		t.Errorf("once the node has ended:\n%s", output)
	}
}

// TestAMoveBackFromPostgres: a copy of what nodes have that run on, and of them stopped.
func TestAMoveBackFromPostgres(t *testing.T) {
	t.Parallel()
	source, site, _ := newTarget(t, "PostgreSQL and S3")
	source.start(site)
	source.present()
	m := source.fill(60)
	to, toSite, _ := newTarget(t, "Badger and files")
	if output := source.mustMove(to); !strings.Contains(output, "stop the source") || !strings.Contains(output, source.root+", as was told") {
		t.Errorf("a copy of nodes that run says\n%s", output)
	}
	later := filePath("team", "tool", "3.0.0", "later")
	m.files[later] = []byte("later")
	source.put(later, m.files[later])
	shown := source.shown()
	source.stop()
	if output := source.mustMove(to); !strings.Contains(output, "source and target are equal") {
		t.Errorf("the last run says\n%s", output)
	}
	to.start(toSite)
	to.wantMoved(m, shown)
}

// TestADamagedSourceIsCopiedWhenAsked: what is damaged ends the last run, or is left out.
func TestADamagedSourceIsCopiedWhenAsked(t *testing.T) {
	t.Parallel()
	source := newNode(t)
	source.faults = append(source.faults, "damaged", "digest")
	source.start(source.movedSite(nil))
	large := filePath("team", "tool", "1", "large")
	source.put(large, pattern(1, 3_000_000))
	source.put(filePath("team", "tool", "1", "sound"), []byte("sound"))
	committed, _ := source.blobs()
	for _, blob := range committed {
		if blob.size == 3_000_000 {
			blob.flip(t, 2_000_000, 1)
		}
	}
	to, site, _ := newTarget(t, "Badger and S3")
	digest := fmt.Sprintf("%x", sha256.Sum256(pattern(1, 3_000_000)))
	if output := source.mustMove(to); !strings.Contains(output, "damaged in the source: "+digest) {
		t.Errorf("a first run does not tell:\n%s", output)
	}
	source.stop()
	if output, err := source.moving(to); err == nil || !strings.Contains(output, "1 blob is damaged in the source") {
		t.Errorf("the last run: %v\n%s", err, output)
	}
	if output, err := source.moving(to, "--skip-damaged"); err != nil || !strings.Contains(output, "source and target are equal") {
		t.Errorf("the last run that skips it: %v\n%s", err, output)
	}
	to.faults = append(to.faults, "damaged", "missing", "bytes")
	to.start(site)
	to.wantBytes(filePath("team", "tool", "1", "sound"), []byte("sound"))
	to.want(http.StatusInternalServerError, http.MethodGet, large, "alice", nil)
}

// TestTimesOfAMove prints how long it takes, and for how long the source is stopped. Long, of
// 100,000 files.
func TestTimesOfAMove(t *testing.T) {
	files := 500
	if isLong() {
		files = 100_000
	}
	source := newNode(t)
	source.start(source.site())
	source.publishMany(files)
	to := newNode(t)
	site := to.onBoth(postgresServer(t), servers.StartS3(t))
	to.writeConfig(site)
	began := time.Now()
	online := source.mustMove(to)
	t.Logf("copy of %d files of 4 KiB while the source runs: %v\n%s", files, time.Since(began).Round(10*time.Millisecond), online)
	source.put(filePath("alice", "later", "1", "f"), []byte("later"))
	source.stop()
	began = time.Now()
	last := source.mustMove(to)
	t.Logf("the rest, with the source stopped: %v\n%s", time.Since(began).Round(10*time.Millisecond), last)
	if want := humanized(files+1) + " files"; !strings.Contains(last, want) {
		t.Errorf("the last run says %q, want %s", last, want)
	}
	to.start(site)
	for i := range files {
		if i%(1+files/200) == 0 {
			to.wantBytes(filePath("alice", "many", fmt.Sprint(i/100), fmt.Sprint("f", i)), pattern(i, 4096))
		}
	}
}

// humanized is a number with commas.
func humanized(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
