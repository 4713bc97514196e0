package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// slowUpload begins an upload, which goes on when its body is told to. What it is answered
// comes from the channel.
func (s *server) slowUpload(path string, content []byte) (*slowBody, chan answer) {
	s.Helper()
	body, done := newSlowBody(s, content), make(chan answer, 1)
	before := s.metric("uploads")
	go func() {
		got, err := s.try(http.MethodPut, path, "alice", body)
		if err != nil {
			s.Errorf("upload to %s: %v", path, err)
		}
		done <- got
	}()
	<-body.half
	s.eventually("the upload is in progress", func() bool { return s.metric("uploads") > before })
	return body, done
}

// wantUploaded lets an upload go on and wants it to be accepted.
func (s *server) wantUploaded(body *slowBody, done chan answer) {
	s.Helper()
	close(body.goOn)
	if got := <-done; got.status != http.StatusCreated {
		s.Errorf("the upload: %d %s, want 201", got.status, got.text())
	}
}

// TestStartAndStop: caddy start and caddy stop, several times, with an upload in progress at
// each stop: the process waits for the upload, and the next one serves what it published.
func TestStartAndStop(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	pid := filepath.Join(s.dir, "pid")
	for i := range 2 {
		s.inBackground("start", "--config", s.writeConfig(s.site()), "--adapter", "caddyfile", "--pidfile", pid)
		for before := range i {
			s.wantBytes(filePath("alice", "tool", strconv.Itoa(before), "f"), pattern(before, 500_000))
		}
		body, done := s.slowUpload(filePath("alice", "tool", strconv.Itoa(i), "f"), pattern(i, 500_000))
		number, err := strconv.Atoi(strings.TrimSpace(readFile(t, pid)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				_ = syscall.Kill(number, syscall.SIGKILL)
			}
		})
		stopped := make(chan error, 1)
		go func() {
			output, err := s.caddy("stop", "--address", fmt.Sprintf("127.0.0.1:%d", s.admin))
			if err != nil {
				err = fmt.Errorf("caddy stop: %w\n%s", err, output)
			}
			stopped <- err
		}()
		s.eventually("the server takes no more connections", func() bool { return s.listeners(s.port) == 0 })
		s.wantUploaded(body, done)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		s.eventually("the process has ended", func() bool { return syscall.Kill(number, 0) != nil })
		s.client.CloseIdleConnections()
	}
}

// inBackground runs a command of the binary that leaves a process behind, whose log is the
// server's.
func (s *server) inBackground(arguments ...string) {
	s.Helper()
	log, err := os.OpenFile(s.logName(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(s.binary, arguments...)
	command.Env, command.Stdout, command.Stderr = s.environment(), log, log
	if err := command.Run(); err != nil {
		s.Fatalf("caddy %s: %v\n%s", arguments[0], err, s.logTail())
	}
}

// TestSignalToReload: SIGUSR1 has Caddy read its file again; an upload goes on, a changed
// limit counts, and a file with an error changes nothing.
func TestSignalToReload(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	body, done := s.slowUpload(filePath("alice", "tool", "1", "slow"), pattern(1, 500_000))
	for _, reload := range []struct{ text, told string }{
		{s.site("max_file_size 1KiB"), "successfully reloaded config"},
		{s.site("max_file_sice 1KiB"), "failed to reload config"},
	} {
		s.writeConfig(reload.text)
		s.signal(syscall.SIGUSR1)
		s.eventually("Caddy has told: "+reload.told, func() bool { return strings.Contains(s.logText(), reload.told) })
		s.settle()
		s.want(http.StatusRequestEntityTooLarge, http.MethodPut, filePath("alice", "tool", "1", "large"), "alice", pattern(2, 2000))
	}
	if !strings.Contains(s.logText(), "max_file_sice") {
		t.Errorf("the log does not name the word that is wrong:\n%s", s.logTail())
	}
	s.wantUploaded(body, done) // its limit is that of the configuration in which it began
	s.wantBytes(filePath("alice", "tool", "1", "slow"), pattern(1, 500_000))
}

// TestSeveralRegistriesInOneSite: one root under two prefixes with rules of their own, and
// another root under a third.
func TestSeveralRegistriesInOneSite(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other := s.root + "-other"
	directive := func(prefix, root, rules string) string {
		return fmt.Sprintf("\tgeneric_registry {\n\t\tprefix %s\n\t\troot %s\n%s\t}\n", prefix, root, rules)
	}
	shut := "\t\towner * {\n\t\t\tread @users\n\t\t\twrite bob\n\t\t}\n"
	s.start(s.global() + fmt.Sprintf("http://127.0.0.1:%d {\n%s%s%s%s}\n", s.port, basicAuth(),
		directive("/open", s.root, ""), directive("/shut", s.root, shut), directive("/other", other, "")))
	const file = "/alice/generic/tool/1/f"
	s.want(http.StatusCreated, http.MethodPut, "/open"+file, "alice", []byte("one root"))
	s.want(http.StatusCreated, http.MethodPut, "/other"+file, "alice", []byte("another"))
	for _, test := range []struct {
		method, path, user string
		status             int
		text               string
	}{
		{"GET", "/open" + file, "", 200, "one root"},
		{"GET", "/shut" + file, "bob", 200, "one root"},
		{"GET", "/shut" + file, "", 401, ""},
		{"PUT", "/shut" + file, "alice", 403, ""},
		{"PUT", "/open" + file, "bob", 403, ""},
		{"PUT", "/open" + file, "alice", 409, ""},
		{"PUT", "/shut" + file, "bob", 409, ""},
		{"GET", "/other" + file, "", 200, "another"},
		{"DELETE", "/shut" + file, "bob", 204, ""},
		{"GET", "/open" + file, "", 404, ""},
		{"GET", "/other" + file, "", 200, "another"},
	} {
		got := s.want(test.status, test.method, test.path, test.user, nil)
		if test.text != "" && got.text() != test.text {
			t.Errorf("%s %s: %q, want %q", test.method, test.path, got.text(), test.text)
		}
	}
}
