package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	// What the binary under test is built from. Without it go test would answer
	// with the cached result of code that has changed since.
	_ "github.com/generic-registry/caddy-generic-registry"
	"github.com/generic-registry/caddy-generic-registry/module/disk/tempdir"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

const (
	// Environment variables: the first makes the same tests run at full size, the
	// second has the binary under test look for races.
	long  = "GENERIC_REGISTRY_LONG"
	races = "GENERIC_REGISTRY_RACE"

	patience = 60 * time.Second
)

// caddyBinary is the Caddy under test, built once.
var caddyBinary string

// withoutSymbols leaves out what only a debugger reads. That saves a third of the time of linking.
const withoutSymbols = "-ldflags=-w"

func TestMain(m *testing.M) { os.Exit(tempdir.Main(func() int { return run(m) })) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "generic-registry-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddyBinary = filepath.Join(dir, "caddy")
	build := []string{"build", withoutSymbols, "-o", caddyBinary}
	if os.Getenv(races) != "" {
		build = append(build, "-race")
	}
	if output, err := exec.Command("go", append(build, "./caddy")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building caddy: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

func isLong() bool { return os.Getenv(long) != "" }

// server is one Caddy process, restarted at will on the same folders.
type server struct {
	testing.TB
	binary  string
	dir     string // home, configuration and log
	root    string // of the registry
	workdir string // of the process; that of the test when empty
	port    int
	admin   int
	process *exec.Cmd
	exited  chan error
	client  *http.Client

	// configure, if any, changes the command of the process before it is started.
	configure func(command *exec.Cmd)
	// faults are parts of messages that the registry may log as errors, because
	// the test causes them.
	faults []string
}

// newServer makes the folders and finds the ports. Nothing runs yet.
func newServer(t testing.TB) *server {
	dir := t.TempDir()
	s := &server{TB: t, binary: caddyBinary, dir: dir, root: filepath.Join(dir, "registry"), port: freePort(t), admin: freePort(t), client: newClient()}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.kill()
		s.checkLog()
		if t.Failed() {
			t.Logf("the end of the log:\n%s", s.logTail())
		}
	})
	return s
}

// in is the server for a test within the test.
func (s *server) in(t testing.TB) *server {
	within := *s
	within.TB = t
	return &within
}

// startServer starts a Caddy with one registry for the users alice and bob.
func startServer(t testing.TB, settings ...string) *server {
	s := newServer(t)
	s.start(s.site(settings...))
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// caddy runs a command of the binary to its end.
func (s *server) caddy(arguments ...string) (string, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, s.binary, arguments...)
	command.Env = s.environment()
	output, err := command.CombinedOutput()
	return string(output), err
}

// launch starts the process without waiting for it to serve.
func (s *server) launch(text string) {
	s.Helper()
	log, err := os.OpenFile(s.logName(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(s.binary, "run", "--adapter", "caddyfile", "--config", s.writeConfig(text))
	s.process.Env, s.process.Dir = s.environment(), s.workdir
	s.process.Stdout, s.process.Stderr = log, log
	if s.configure != nil {
		s.configure(s.process)
	}
	if err := s.process.Start(); err != nil {
		s.Fatal(err)
	}
	process, exited := s.process, make(chan error, 1)
	s.exited = exited
	go func() { exited <- process.Wait() }()
}

// start starts the process and waits until it serves.
func (s *server) start(text string) {
	s.Helper()
	if err := s.starts(text); err != nil {
		s.Fatalf("%v\n%s", err, s.logTail())
	}
}

// starts is start for a server that may end instead. Caddy starts apps and opens ports in any
// order, so that an answer at one port says nothing of the others.
func (s *server) starts(text string) (ended error) {
	s.Helper()
	before := len(s.logText())
	s.launch(text)
	s.eventually("the server serves its configuration", func() bool {
		select {
		case err := <-s.exited:
			s.exited <- err
			ended = fmt.Errorf("caddy ended: %w", err)
			return true
		default:
			return strings.Contains(s.logFrom(before), "serving initial configuration")
		}
	})
	return ended
}

// ends starts a server that is expected to end by itself, and returns how it ended. Until
// an app of Caddy fails to start, those that were started before may answer.
func (s *server) ends(text string) (ended error) {
	s.Helper()
	s.launch(text)
	s.eventually("the server ends", func() bool {
		select {
		case ended = <-s.exited:
			s.exited <- ended
			return true
		default:
			return false
		}
	})
	return ended
}

// eventually polls until a state is reached.
func (s *server) eventually(what string, reached func() bool) {
	s.Helper()
	if !eventuallyTrue(reached) {
		s.Fatalf("never: %s\n%s", what, s.logTail())
	}
}

// eventuallyTrue is eventually for what may never be.
func eventuallyTrue(reached func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}

func (s *server) signal(signal os.Signal) {
	s.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.Fatal(err)
	}
}

func (s *server) ended() error {
	s.Helper()
	select {
	case err := <-s.exited:
		s.process = nil
		return err
	case <-time.After(patience):
		s.Fatalf("caddy does not end\n%s", s.logTail())
		return nil
	}
}

// kill ends the process as a crash does.
func (s *server) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.exited
	s.process = nil
}

func (s *server) logName() string { return filepath.Join(s.dir, "caddy.log") }

func (s *server) logText() string { return s.logFrom(0) }

// logFrom is the log from a byte on.
func (s *server) logFrom(offset int) string {
	file, err := os.Open(s.logName())
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	var text []byte
	if err == nil {
		defer file.Close()
		text, err = io.ReadAll(io.NewSectionReader(file, int64(offset), 1<<40))
	}
	if err != nil {
		s.Error(err)
	}
	return string(text)
}

func (s *server) logTail() string {
	text := s.logText()
	return text[max(0, len(text)-4000):]
}

// reload gives the process another Caddyfile, as caddy reload does.
func (s *server) reload(text string) error {
	s.Helper()
	s.eventually("one configuration has the admin endpoint", func() bool { return s.listeners(s.admin) <= 1 })
	request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/load", s.admin), strings.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var problem struct{ Error string }
		_ = json.Unmarshal(answer, &problem)
		return fmt.Errorf("reload is refused: %s", problem.Error)
	}
	return nil
}

func (s *server) mustReload(text string) {
	s.Helper()
	if err := s.reload(text); err != nil {
		s.Fatalf("%v\n%s", err, s.logTail())
	}
	s.settle()
}

// settle waits until a reload is over, accepted or not. For a moment two
// configurations listen, and what reaches the one that goes is reset, with any
// handler; so are idle connections that it has.
func (s *server) settle() {
	s.Helper()
	s.client.CloseIdleConnections()
	s.eventually("one configuration listens", func() bool { return s.listeners(s.port) <= 1 })
}
