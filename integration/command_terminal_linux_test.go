package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// clearLine is what takes a bar off a terminal.
const clearLine = "\x1b[2K\r"

// terminal is a pseudo-terminal with a command on it.
type terminal struct {
	*server
	command *exec.Cmd
	master  *os.File
	ended   chan struct{} // closed when all was read

	mu    sync.Mutex
	shown bytes.Buffer
}

// onTerminal starts a command whose output, as far as it is not somewhere else already,
// is a terminal, which it can be interrupted from.
func (s *server) onTerminal(command *exec.Cmd) *terminal {
	s.Helper()
	command.Env = append(s.environment(), "TERM=xterm")
	t := &terminal{server: s, command: command, ended: make(chan struct{})}
	master, err := pty.StartWithAttrs(command, &pty.Winsize{Rows: 24, Cols: 120}, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2})
	if err != nil {
		s.Fatal(err)
	}
	t.master = master
	go func() {
		defer close(t.ended)
		_, _ = io.Copy(t, master) // EIO when the command has ended
	}()
	s.Cleanup(func() { _ = master.Close() })
	return t
}

// Write implements io.Writer for what is shown.
func (t *terminal) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown.Write(text)
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown.String()
}

// wait waits for the end of the command and returns what was shown.
func (t *terminal) wait() (shown string, status int) {
	t.Helper()
	err := t.command.Wait()
	<-t.ended
	return t.text(), exitStatus(t, err)
}

// wantBar wants a bar with a percentage of a total, which is gone at the end.
func (t *terminal) wantBar(shown string, says ...string) {
	t.Helper()
	for _, want := range says {
		if !strings.Contains(shown, want) {
			t.Errorf("got %q, want %q in it", shown, want)
		}
	}
	bar := strings.LastIndex(shown, "|")
	if bar < 0 || !strings.Contains(shown, "% |") || !strings.Contains(shown[bar:], clearLine) {
		t.Errorf("got %q, want a bar that is cleared", shown)
	}
}

// TestBarsOfCommands: each long command shows a bar on a terminal, and nothing of it is
// left at the end.
func TestBarsOfCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 3 {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 200_000))
	}
	backup, stream := filepath.Join(s.dir, "backup"), filepath.Join(s.dir, "backup.tar")
	server := []string{"--address", fmt.Sprintf("127.0.0.1:%d", s.admin)}
	s.mustShell("%s generic-registry backup - %s > %s", caddyBinary, strings.Join(server, " "), stream)
	run := func(name string, arguments []string, says ...string) {
		t.Run(name, func(t *testing.T) {
			terminal := s.in(t).onTerminal(exec.Command(caddyBinary, append([]string{"generic-registry"}, arguments...)...))
			shown, status := terminal.wait()
			if status != 0 {
				t.Errorf("exit status: got %d, want 0", status)
			}
			terminal.wantBar(shown, says...)
		})
	}
	run("a backup", append([]string{"backup", backup}, server...), "backing up: 3 blobs, 586 KiB", "full backup of registry")
	run("a verify that is slow", append([]string{"verify", "--rate", "400KiB"}, server...), "verifying: 3 blobs, 586 KiB, 0 damaged", "3 blobs, 586 KiB checked")
	s.kill()
	restored := filepath.Join(s.dir, "restored")
	run("a restore of a directory", []string{"restore", backup, "--root", restored}, "restoring "+backup+": 3 blobs, 586 KiB", "restored registry")
	run("a restore of a stream", []string{"restore", stream, "--root", restored + "2"}, "restoring "+stream+": 3 blobs, 586 KiB", "restored registry")
	run("a rebuild", []string{"rebuild", "--root", restored}, "making the database: 3 changes", "the database is rebuilt")
}

// TestInterruptingACommand from a terminal ends it with a clean line, and says what is
// left.
func TestInterruptingACommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 3 {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 200_000))
	}
	stream := filepath.Join(s.dir, "backup.tar")
	s.mustShell("%s generic-registry backup - --address 127.0.0.1:%d > %s", caddyBinary, s.admin, stream)
	half, err := os.ReadFile(stream)
	if err != nil {
		t.Fatal(err)
	}
	half = half[:len(half)/2]
	root := filepath.Join(s.dir, "restored")
	restore := exec.Command(caddyBinary, "generic-registry", "restore", "-", "--root", root)
	in, err := restore.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	terminal := s.onTerminal(restore)
	if _, err := in.Write(half); err != nil {
		t.Fatal(err)
	}
	s.eventually("the bar is shown", func() bool { return strings.Contains(terminal.text(), "restoring -: 3 blobs") })
	if _, err := terminal.master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	shown, status := terminal.wait()
	if status != 130 || !strings.HasSuffix(shown, clearLine+"Error: interrupted\r\n"+root+" has half a restore, which was interrupted or failed: delete what is in "+root+", and restore again\r\n") {
		t.Errorf("restore: got exit status %d and %q, want 130 and a clean line that says what is left", status, shown)
	}

	verify := s.onTerminal(exec.Command(caddyBinary, "generic-registry", "verify", "--rate", "100KiB", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin)))
	s.eventually("the bar is shown", func() bool { return strings.Contains(verify.text(), "verifying: 3 blobs") })
	if _, err := verify.master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if shown, status := verify.wait(); status != 130 || !strings.HasSuffix(shown, clearLine+"Error: interrupted\r\n") {
		t.Errorf("verify: got exit status %d and %q, want 130 and a clean line", status, shown)
	}
}

// TestABackupIsNotForATerminal, as a compressed file is not.
func TestABackupIsNotForATerminal(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	shown, status := s.onTerminal(exec.Command(caddyBinary, "generic-registry", "backup", "-", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin))).wait()
	if status != 1 || !strings.Contains(shown, "a backup is not for a terminal: name a directory") || strings.Contains(shown, "backup.json") {
		t.Errorf("got exit status %d and %q, want a refusal and no tar", status, shown)
	}
}
