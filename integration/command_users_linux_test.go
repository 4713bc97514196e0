package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the number of a user who owns nothing.
const nobody = 65534

// asAnother runs the binary as a user to whom nothing belongs that this one made. Only
// root can; another user takes its own rights on a path away in place of that.
func (s *server) asAnother(taken string, arguments ...string) (output string, status int) {
	s.Helper()
	binary := filepath.Join(s.dir, "caddy")
	if err := os.Link(caddyBinary, binary); err != nil && !os.IsExist(err) {
		s.Fatal(err)
	}
	home := filepath.Join(s.dir, "another")
	if err := os.MkdirAll(home, 0o777); err != nil {
		s.Fatal(err)
	}
	command := exec.Command(binary, arguments...)
	command.Dir, command.Env = home, []string{"HOME=" + home}
	if os.Geteuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(home, nobody, nobody); err != nil {
			s.Fatal(err)
		}
	} else {
		info, err := os.Stat(taken)
		if err == nil {
			err = os.Chmod(taken, 0)
		}
		if err != nil {
			s.Fatal(err)
		}
		defer func() { _ = os.Chmod(taken, info.Mode().Perm()) }()
	}
	text, err := command.CombinedOutput()
	return string(text), exitStatus(s, err)
}

// newOpenServer is newServer in a folder that other users may enter.
func newOpenServer(t testing.TB) *server {
	s := newServer(t)
	directory, err := os.MkdirTemp("", "grt") // a socket's path is short, too
	if err == nil {
		err = os.Chmod(directory, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	s.dir, s.root = directory, filepath.Join(directory, "registry")
	return s
}

func me(t testing.TB) string {
	t.Helper()
	found, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return found.Username
}

// TestASocketOfAnotherUser says whose it is, and as whom to run the command.
func TestASocketOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := newOpenServer(t)
	socket := filepath.Join(s.dir, "admin.sock")
	s.start(strings.Replace(s.tokenSite(), fmt.Sprintf("admin 127.0.0.1:%d", s.admin), "admin unix/"+socket+"|0600", 1))
	output, status := s.asAnother(socket, "generic-registry", "token", "list", "--address", "unix/"+socket)
	want := "Error: this user may not open the socket " + socket + ", which belongs to the user " + me(t) + ": run the command as root or as the user that Caddy runs as"
	if status != 1 || !strings.HasPrefix(output, want) {
		t.Errorf("got exit status %d and %q, want 1 and %q", status, output, want)
	}
	if output, err := s.registryCommand("token", "list", "--address", "unix/"+socket); err != nil {
		t.Errorf("as the same user: got %v, %q, want a list", err, output)
	}
}

// TestARegistryOfAnotherUser is not opened: both users and the directory are named.
func TestARegistryOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := newOpenServer(t)
	s.start(s.site())
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	s.kill()
	if err := os.Chmod(filepath.Join(s.dir, "Caddyfile"), 0o644); err != nil {
		t.Fatal(err)
	}
	says := []string{"whom this process runs as, may not open ", s.root, "belongs to the user " + me(t), "chown -R "}
	for name, arguments := range map[string][]string{
		"the server": {"run", "--config", filepath.Join(s.dir, "Caddyfile"), "--adapter", "caddyfile"},
		"a command":  {"generic-registry", "verify", "--offline", "--root", s.root},
	} {
		output, status := s.asAnother(s.root, arguments...)
		for _, want := range says {
			if status == 0 || !strings.Contains(output, want) {
				t.Errorf("%s: got exit status %d and %q, want %q in it", name, status, output, want)
			}
		}
	}
	s.start(s.site())
}

// TestRestoringIntoADirectoryOfAnotherUser warns that the server may not be able to open
// what root has made there.
func TestRestoringIntoADirectoryOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	backup, above := filepath.Join(s.dir, "backup"), filepath.Join(s.dir, "above")
	s.mustCommand("backup", backup)
	if err := os.Mkdir(above, 0o777); err != nil {
		t.Fatal(err)
	}
	want := 1
	if os.Geteuid() == 0 {
		want = 2 // lines
		if err := os.Chown(above, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(above, "registry")
	output, err := s.registryCommand("restore", backup, "--root", root)
	if err != nil || strings.Count(output, "\n") != want || strings.Contains(output, "warning: the new files belong to root") != (want == 2) {
		t.Errorf("got %v, %q, want %d lines, the warning only from root", err, output, want)
	}
}
