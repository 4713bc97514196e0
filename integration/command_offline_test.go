package integration

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOfflineCommandsTakeTheStoresOfTheConfiguration: a registry whose stores have
// directories of their own is found by --config, and nothing else is said.
func TestOfflineCommandsTakeTheStoresOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	metadata, blobs := filepath.Join(s.dir, "m"), filepath.Join(s.dir, "b")
	site := s.site("metadata badger {", "\tdir "+metadata, "}", "blobs filesystem {", "\tdir "+blobs, "}")
	s.start(site)
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	s.kill()
	config := []string{"--config", filepath.Join(s.dir, "Caddyfile")}
	backup := filepath.Join(s.dir, "backup")
	for _, arguments := range [][]string{{"verify", "--offline"}, {"backup", backup, "--offline"}, {"rebuild"}, {"rebuild", "--journal"}} {
		if output, err := s.registryCommand(append(arguments, config...)...); err != nil || strings.Contains(output, "{") {
			t.Errorf("%v: got %v, %q, want success and no line of a log", arguments, err, output)
		}
	}
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"the root alone has no stores":    {[]string{"--root", s.root}, "there is no registry at " + s.root},
		"a root of another configuration": {append([]string{"--root", "/elsewhere"}, config...), "has the root /elsewhere: name one of " + s.root},
	} {
		if output, err := s.registryCommand(append([]string{"verify", "--offline"}, test.arguments...)...); err == nil || !strings.Contains(output, test.says) {
			t.Errorf("%s: got %v, %q, want %q", name, err, output, test.says)
		}
	}
	for _, directory := range []string{metadata, blobs} {
		if err := os.RemoveAll(directory); err != nil {
			t.Fatal(err)
		}
	}
	output, err := s.registryCommand(append([]string{"restore", backup}, config...)...)
	if err != nil || strings.Count(output, "\n") != 1 || !strings.HasPrefix(output, "restored registry ") {
		t.Fatalf("restore: got %v, %q, want one line", err, output)
	}
	s.start(site)
	s.want(http.StatusOK, http.MethodGet, filePath("alice", "p", "1", "f"), "", nil)
}

// TestHalfARestore is told by whatever meets it, and left as it is.
func TestHalfARestore(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 4 {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 300_000))
	}
	stream := filepath.Join(s.dir, "backup.tar")
	s.mustShell("%s generic-registry backup - --address 127.0.0.1:%d > %s", caddyBinary, s.admin, stream)
	s.kill()
	whole, err := os.ReadFile(stream)
	if err != nil {
		t.Fatal(err)
	}
	half := newServer(t)
	restore := exec.Command(caddyBinary, "generic-registry", "restore", "-", "--root", half.root)
	restore.Env = half.environment()
	in, err := restore.StdinPipe()
	if err == nil {
		err = restore.Start()
	}
	if err == nil {
		_, err = in.Write(whole[:len(whole)/2])
	}
	if err != nil {
		t.Fatal(err)
	}
	half.eventually("a file is restored", func() bool {
		return countFiles(t, filepath.Join(half.root, "blobs", "data")) > 0 || countFiles(t, half.root) > 4
	})
	if err := restore.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = restore.Wait()
	before := tree(t, half.root)
	says := half.root + " has half a restore, which was interrupted or failed: delete what is in " + half.root + ", and restore again"
	for _, arguments := range [][]string{{"restore", stream}, {"verify", "--offline"}, {"rebuild"}, {"rebuild", "--journal"}, {"backup", filepath.Join(half.dir, "x"), "--offline"}} {
		if output, err := half.registryCommand(append(arguments, "--root", half.root)...); err == nil || !strings.Contains(output, says) {
			t.Errorf("%v: got %v, %q, want %q", arguments, err, output, says)
		}
	}
	half.faults = []string{"half a restore"}
	if err := half.ends(half.site()); err == nil || !strings.Contains(half.logText(), says) {
		t.Errorf("the server: got %v, want that it does not start and says so", err)
	}
	if after := tree(t, half.root); !slices.Equal(before, after) {
		t.Errorf("the half restore: got %q, want it as it was: %q", after, before)
	}
	if err := os.RemoveAll(half.root); err != nil {
		t.Fatal(err)
	}
	if output, err := half.registryCommand("restore", stream, "--root", half.root); err != nil {
		t.Fatalf("again: %v\n%s", err, output)
	}
	half.start(half.site())
	half.want(http.StatusOK, http.MethodGet, filePath("alice", "p", "1", "f3"), "", nil)
}

// tree lists what is below a directory.
func tree(t testing.TB, path string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestRestoringWhatIsNoBackup says what it is and makes nothing.
func TestRestoringWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	name := filepath.Join(s.dir, "x")
	for _, test := range []struct{ name, content, says string }{
		{"gzip", "\x1f\x8b\x08\x00rest", name + " is gzip: gunzip < " + name + " | caddy generic-registry restore -"},
		{"zstd", "\x28\xb5\x2f\xfd\x00\x00", name + " is zstd: zstd -d < " + name},
		{"xz", "\xfd7zXZ\x00\x00", name + " is xz: xz -d < "},
		{"bzip2", "BZh91AY", name + " is bzip2: bunzip2 < "},
		{"nothing at all", "", "backup is not complete"},
		{"a text", strings.Repeat("text ", 300), "not a backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(name, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			output, err := s.in(t).registryCommand("restore", name, "--root", s.root)
			if exitStatus(t, err) != 1 || !strings.Contains(output, test.says) || strings.Contains(output, "half a restore") {
				t.Errorf("got %v, %q, want %q", err, output, test.says)
			}
			if left := countFiles(t, s.root); left > 0 {
				t.Errorf("files in the root: got %d, want none", left)
			}
		})
	}
}

// TestDamageThatIsLeftOut of a backup, or was, is told by the exit status.
func TestDamageThatIsLeftOut(t *testing.T) {
	t.Parallel()
	s := startServer(t, "scrub off")
	s.put(filePath("alice", "p", "1", "f"), pattern(1, 300_000))
	s.put(filePath("alice", "p", "1", "g"), pattern(2, 200_000))
	committed, _ := s.blobs()
	committed[0].remove(t)
	s.faults = []string{"blob is damaged", "some are damaged"}
	backup := filepath.Join(s.dir, "backup")
	if _, notes, err := s.command("backup", backup, "--skip-damaged"); exitStatus(t, err) != 1 || !strings.Contains(notes, "1 blob is damaged and not in the backup") {
		t.Errorf("backup: got %v, %q, want exit status 1 and what is left out", err, notes)
	}
	if _, notes, err := s.command("restore", backup, "--root", filepath.Join(s.dir, "restored")); exitStatus(t, err) != 1 || !strings.Contains(notes, "1 blob is missing") {
		t.Errorf("restore: got %v, %q, want exit status 1 and what is missing", err, notes)
	}
	if _, _, err := s.command("verify"); exitStatus(t, err) != 1 {
		t.Errorf("verify: got %v, want exit status 1", err)
	}
}
