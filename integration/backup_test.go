package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// exitStatus is how a command ended.
func exitStatus(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the command did not run: %v", err)
	}
	return exit.ExitCode()
}

// journalled reads the journal of a backup in a directory as a script would: the
// digest of each path that should be there, empty for each that no longer is.
func journalled(t testing.TB, backup string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(backup, "journal", "*.jsonl")) // in the order of their names
	if err != nil {
		t.Fatal(err)
	}
	state := make(map[string]string)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var change struct{ Op, Owner, Package, Version, File, SHA256 string }
			if err := json.Unmarshal(line, &change); err != nil {
				t.Fatal(err)
			}
			path := filePath(change.Owner, change.Package, change.Version, change.File)
			switch change.Op {
			case "publish", "delete_file":
				state[path] = change.SHA256
			case "delete_version":
				for known := range state {
					if strings.HasPrefix(known, versionPath(change.Owner, change.Package, change.Version)+"/") {
						state[known] = ""
					}
				}
			default:
				t.Fatalf("the journal has %s", line)
			}
		}
	}
	return state
}

// wantState compares every path with what is there.
func (s *server) wantState(state map[string]string) {
	s.Helper()
	for path, digest := range state {
		got, err := s.try(http.MethodGet, path, "alice", nil)
		if err != nil {
			s.Fatal(err)
		}
		want := http.StatusOK
		if digest == "" {
			want = http.StatusNotFound
		}
		if got.status != want || digest != "" && fmt.Sprintf("%x", sha256.Sum256(got.body)) != digest {
			s.Errorf("%s: %d with %d bytes, want %d", path, got.status, len(got.body), want)
		}
	}
}

// restored starts a server on what backups are restored to.
func (s *server) restored(backups ...string) *server {
	s.Helper()
	r := newServer(s)
	out := s.mustCommand(append([]string{"restore", "--root", r.root}, backups...)...)
	if !strings.HasPrefix(out, "restored registry ") {
		s.Errorf("restore prints %q", out)
	}
	r.start(r.site())
	return r
}

// TestBackupUnderLoad makes a full backup and increments while 8 clients publish and
// delete. Each is as of one moment, and the last one as of the end.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	increments := 3
	if isLong() {
		increments = 30
	}
	s := startServer(t)
	histories := make([]*history, 8)
	var answered atomic.Int64
	var stop atomic.Bool
	var working sync.WaitGroup
	for i := range histories {
		histories[i] = newHistory(i)
		working.Go(func() {
			if err := histories[i].workUntil(s, &answered, &stop); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	backup := filepath.Join(s.dir, "backup")
	for i := range increments {
		before := answered.Load()
		s.eventually("the clients are at work", func() bool { return answered.Load() > before+100 || t.Failed() })
		out := s.mustCommand("backup", backup)
		if kind := strings.Fields(out)[0]; i == 0 && kind != "full" || i > 0 && kind != "backup" {
			t.Errorf("backup %d prints %q", i, out)
		}
	}
	kept := filepath.Join(s.dir, "kept")
	if err := os.CopyFS(kept, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	stream := filepath.Join(s.dir, "stream.tar")
	s.mustShell("%s generic-registry backup - --address 127.0.0.1:%d > %s", caddyBinary, s.admin, stream)
	stop.Store(true)
	working.Wait()
	s.mustCommand("backup", backup)

	s.restored(kept).wantState(journalled(t, kept))
	last := s.restored(backup)
	last.wantState(journalled(t, backup))
	for _, h := range histories {
		if err := h.check(last); err != nil {
			t.Errorf("client %d, restored: %v", h.client, err)
		}
	}
	last.put(filePath("alice", "new", "1", "f"), []byte("it lives on"))
	unpacked := filepath.Join(s.dir, "unpacked")
	s.mustShell("mkdir %[1]s && tar -xf %[2]s -C %[1]s", unpacked, stream)
	s.restored(stream).wantState(journalled(t, unpacked))
	s.eventually("what was deleted during backups is gone from the disk", func() bool {
		committed, _ := s.blobs()
		restored, _ := last.blobs()
		return len(committed)+1 == len(restored)
	})
}

// workUntil works until it is told to stop.
func (h *history) workUntil(s *server, answered *atomic.Int64, stop *atomic.Bool) error {
	for ; !stop.Load(); answered.Add(1) {
		if err := h.operate(s, 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) mustShell(format string, values ...any) {
	s.Helper()
	command := exec.Command("sh", "-c", fmt.Sprintf(format, values...))
	command.Env = s.environment()
	if output, err := command.CombinedOutput(); err != nil {
		s.Fatalf(format+": %v\n%s", append(values, err, output)...)
	}
}

// TestBackupClientIsKilled in the middle: there is no backup then, the server deletes
// again, and the next run makes it.
func TestBackupClientIsKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const files = 150
	for i := range files {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 100_000))
	}
	backup := filepath.Join(s.dir, "backup")
	front, _ := s.halfOfAnswers()
	command := exec.Command(caddyBinary, "generic-registry", "backup", backup, "--address", front)
	command.Env = s.environment()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually("some blobs are backed up", func() bool { return countFiles(t, filepath.Join(backup, "unfinished", "blobs")) >= 3 })
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if _, err := os.Stat(filepath.Join(backup, "backup.json")); err == nil {
		t.Fatal("the backup was done before it was killed")
	}
	_, notes, err := s.command("restore", backup, "--root", filepath.Join(s.dir, "unused"))
	if exitStatus(t, err) != 1 || !strings.Contains(notes, "not complete") {
		t.Errorf("restoring half a backup: %v\n%s", err, notes)
	}
	s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "p", "1", "f0"), "alice", nil)
	s.eventually("the server deletes bytes again", func() bool { committed, _ := s.blobs(); return len(committed) == files-1 })
	s.mustCommand("backup", backup)
	s.restored(backup).wantState(journalled(t, backup))
}

// halfOfAnswers is the address of a proxy in front of the admin endpoint, which passes on the
// first MiB of an answer, and the rest once it is told to.
func (s *server) halfOfAnswers() (address string, goOn func()) {
	s.Helper()
	behind := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", s.admin)}
	told, goOn := context.WithCancel(s.Context())
	front := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Header.Set("Origin", behind.String()) // no other one may ask
		},
		ModifyResponse: func(r *http.Response) error {
			first := io.LimitReader(r.Body, 1<<20)
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(first, awaited{r.Request.Context(), told, r.Body}), r.Body}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	s.Cleanup(front.Close)
	s.Cleanup(goOn)
	return front.Listener.Addr().String(), goOn
}

// awaited is read once one of two contexts has ended.
type awaited struct {
	gone, told context.Context
	io.Reader
}

func (a awaited) Read(p []byte) (int, error) {
	select {
	case <-a.gone.Done():
	case <-a.told.Done():
	}
	return a.Reader.Read(p)
}

func countFiles(t testing.TB, path string) (count int) {
	t.Helper()
	err := filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			count++
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// TestServerIsKilledDuringABackup: the client sees that its backup was cut.
func TestServerIsKilledDuringABackup(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 100 {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 200_000))
	}
	backup := filepath.Join(s.dir, "backup")
	ended := make(chan error, 1)
	var notes string
	front, goOn := s.halfOfAnswers()
	go func() {
		_, text, err := s.commandAt(front, "backup", backup)
		notes = text
		ended <- err
	}()
	s.eventually("some blobs are backed up", func() bool { return countFiles(t, filepath.Join(backup, "unfinished", "blobs")) >= 1 })
	s.kill()
	goOn()
	if err := <-ended; exitStatus(t, err) != 1 || !strings.Contains(notes, "not complete") {
		t.Errorf("the client ends with %v\n%s", err, notes)
	}
	s.start(s.site())
	s.mustCommand("backup", backup)
	s.restored(backup).wantState(journalled(t, backup))
}
