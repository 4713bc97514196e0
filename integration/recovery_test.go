package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOfflineCommandsOfARunningServer say who has the registry, and change nothing.
func TestOfflineCommandsOfARunningServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	path := filePath("alice", "p", "1", "f")
	s.put(path, []byte("here"))
	s.mustCommand("backup", filepath.Join(s.dir, "backup"))
	for _, test := range []struct {
		arguments []string
		says      string
		status    int
	}{
		{[]string{"backup", filepath.Join(s.dir, "other"), "--offline"}, "leave --offline out", 1},
		{[]string{"verify", "--offline"}, "leave --offline out", 2},
		{[]string{"rebuild"}, "stop the server first", 1},
		{[]string{"rebuild", "--journal"}, "stop the server first", 1},
		{[]string{"restore", filepath.Join(s.dir, "backup")}, "is not empty", 1},
	} {
		out, notes, err := s.command(append(test.arguments, "--root", s.root)...)
		if exitStatus(t, err) != test.status || !strings.Contains(notes, test.says) || out != "" {
			t.Errorf("%v: %v\n%s%s", test.arguments, err, out, notes)
		}
	}
	s.wantBytes(path, []byte("here"))
	s.put(filePath("alice", "p", "1", "g"), []byte("there"))
}

// TestDatabaseIsMadeAnew: all of its files are deleted, and with --journal those of
// the journal.
func TestDatabaseIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 40 {
		s.put(filePath("alice", "p", fmt.Sprint(i%4), fmt.Sprint("f", i)), pattern(i%10, 5000))
	}
	s.want(http.StatusNoContent, http.MethodDelete, versionPath("alice", "p", "2"), "alice", nil)
	backup := filepath.Join(s.dir, "backup")
	s.mustCommand("backup", backup)
	want := journalled(t, backup)
	metadata := filepath.Join(s.root, "metadata")

	s.kill()
	for _, pattern := range []string{"*.sst", "*.mem", "*.vlog", "MANIFEST", "KEYREGISTRY", "DISCARD", "LOCK"} {
		names, err := filepath.Glob(filepath.Join(metadata, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out := s.mustCommand("rebuild", "--root", s.root); !strings.Contains(out, "the database is rebuilt: 41 changes") {
		t.Errorf("rebuild prints %q", out)
	}
	s.start(s.site())
	s.wantState(want)
	if out := s.mustCommand("backup", backup); !strings.HasPrefix(out, "backup since change 41") {
		t.Errorf("the backup goes on with %q", out)
	}

	s.kill()
	if err := os.RemoveAll(filepath.Join(metadata, "journal")); err != nil {
		t.Fatal(err)
	}
	if out := s.mustCommand("rebuild", "--journal", "--root", s.root); !strings.Contains(out, "the journal is rebuilt: 41 changes") {
		t.Errorf("rebuild --journal prints %q", out)
	}
	s.start(s.site())
	s.wantState(want)
	if out := s.mustCommand("backup", backup); !strings.HasPrefix(out, "backup since change 41") {
		t.Errorf("after the journal was rebuilt the backup goes on with %q", out)
	}
	s.restored(backup).wantState(want)
}

// TestAJournalIsMadeAnewAfterAKill: the database lacks what was answered just before,
// and of the journal the first change is damaged, which the database has. Nothing
// acknowledged is lost.
func TestAJournalIsMadeAnewAfterAKill(t *testing.T) {
	t.Parallel()
	cycles := 6
	if isLong() {
		cycles = 60
	}
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("first"))
	s.kill()
	s.start(s.site()) // from now on the database has it
	all := newClients(8)
	behind := 0
	for cycle := range cycles {
		s.killUnder(all, int64(60+29*(cycle%5)))
		s.damageJournal()
		out, notes, err := s.command("rebuild", "--journal", "--root", s.root)
		if err != nil {
			t.Fatalf("in cycle %d: %v\n%s%s", cycle, err, out, notes)
		}
		if strings.Contains(notes, "the changes it lacked are made again") {
			behind++
		}
		s.start(s.site())
		all.each(t, func(h *history) error { return h.check(s) })
		if t.Failed() {
			t.Fatalf("in cycle %d\n%s\n%s", cycle, notes, s.logTail())
		}
		s.mustCommand("verify")
	}
	if behind == 0 {
		t.Errorf("in %d cycles the database was never behind", cycles)
	}
	t.Logf("in %d of %d cycles the database was behind", behind, cycles)
}

// damageJournal flips a bit of the first change of the journal, or of its last segment.
func (s *server) damageJournal() {
	s.Helper()
	names, err := filepath.Glob(filepath.Join(s.root, "metadata", "journal", "*.jsonl"))
	if err != nil || len(names) == 0 {
		s.Fatalf("the journal has %v, %v", names, err)
	}
	name := names[len(names)-1]
	text := []byte(readFile(s, name))
	first := bytes.IndexByte(text, '\n') + 1
	if first == len(text) {
		s.Fatalf("%s has no change", name)
	}
	text[first+10] ^= 1
	if err := os.WriteFile(name, text, 0o600); err != nil {
		s.Fatal(err)
	}
}

// TestVerifyTells damage by its exit status, online and offline, and publishing the
// same content heals it.
func TestVerifyTells(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := pattern(1, 300_000)
	path := filePath("alice", "p", "1", "f")
	s.put(path, content)
	s.put(filePath("alice", "p", "1", "g"), pattern(2, 1000))
	verify := func(want int, says string, flags ...string) {
		t.Helper()
		out, notes, err := s.command(append([]string{"verify"}, flags...)...)
		if exitStatus(t, err) != want || !strings.Contains(out, says) || want == 0 && out != "" {
			t.Errorf("verify %q ends with %v, want status %d\n%s%s", flags, err, want, out, notes)
		}
	}
	verify(0, "")
	verify(0, "", "--sample", "50%")
	s.faults = append(s.faults, "damaged", "no bytes at", "stored data is damaged")
	s.flip(content, 1000)
	verify(1, "wrong digest: ", "--sample", "99.9999999%")
	verify(1, "missing: ") // it is put aside
	s.want(http.StatusInternalServerError, http.MethodGet, path, "alice", nil)
	s.put(filePath("alice", "healer", "1", "f"), content)
	s.wantBytes(path, content)
	verify(0, "")

	s.kill()
	verify(2, "")
	verify(2, "", "--offline", "--root", filepath.Join(s.dir, "none"))
	verify(0, "", "--offline", "--root", s.root)
	s.flip(content, 1000)
	verify(1, "wrong digest: ", "--offline", "--root", s.root)
	s.start(s.site())
	verify(1, "missing: ")
}

// TestRecoveryTimes measures a backup, a restore and a rebuild of many small files;
// the figures are README's.
func TestRecoveryTimes(t *testing.T) {
	files := 500
	if isLong() {
		files = 100_000
	}
	s := startServer(t)
	s.publishMany(files)
	backup, root := filepath.Join(s.dir, "backup"), filepath.Join(s.dir, "restored")
	measure := func(what string, arguments ...string) {
		t.Helper()
		began := time.Now()
		out := s.mustCommand(arguments...)
		t.Logf("%s of %d files of 4 KiB: %s: %s", what, files, time.Since(began).Round(10*time.Millisecond), out)
	}
	measure("full backup to a directory", "backup", backup)
	measure("increment of nothing", "backup", backup)
	measure("verify", "verify")
	measure("restore", "restore", backup, "--root", root)
	measure("rebuild", "rebuild", "--root", root)
	began := time.Now()
	s.mustShell("%s generic-registry backup - --address 127.0.0.1:%d > %s", caddyBinary, s.admin, filepath.Join(s.dir, "stream.tar"))
	t.Logf("full backup to standard output of %d files of 4 KiB: %s", files, time.Since(began).Round(10*time.Millisecond))
	s.root = root
	s.kill()
	s.start(s.site())
	for i := range files {
		if i%(1+files/500) == 0 {
			s.wantBytes(filePath("alice", "many", fmt.Sprint(i/100), fmt.Sprint("f", i)), pattern(i, 4096))
		}
	}
}

// publishMany publishes files of 4 KiB, by 8 clients.
func (s *server) publishMany(files int) {
	s.Helper()
	numbers := make(chan int)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range numbers {
				path := filePath("alice", "many", fmt.Sprint(i/100), fmt.Sprint("f", i))
				got, err := s.try(http.MethodPut, path, "alice", bytes.NewReader(pattern(i, 4096)))
				if err != nil || got.status != http.StatusCreated {
					s.Errorf("%s: %d, %v", path, got.status, err)
				}
			}
		})
	}
	for i := range files {
		numbers <- i
	}
	close(numbers)
	clients.Wait()
}
