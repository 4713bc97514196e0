//go:build servers

package servers

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// gateway is the S3 server: Versity's gateway, over plain files.
const (
	gateway        = "github.com/versity/versitygw/cmd/versitygw"
	gatewayVersion = "v1.8.0"
)

// Names of what a server is started with.
const (
	Bucket = "artifacts"
	Key    = "test-key"
	Secret = "test-secret-that-nobody-logs"
)

// S3 is a running S3 server.
type S3 struct {
	// Address is its host and port.
	Address string
	// Dir has a folder for each bucket, in which every object is a file.
	Dir string

	command     []string // in place of the usual one; nil for that
	environment []string // of the command
	process     *exec.Cmd
	log         *os.File
}

// build returns the binary of the gateway, which is built once and kept with the user's
// caches.
var build = sync.OnceValues(func() (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(caches, "caddy-generic-registry", "versitygw-"+gatewayVersion)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // other packages are tested at the same time
		return "", err
	}
	binary := filepath.Join(folder, "versitygw")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	command := exec.Command("go", "install", gateway+"@"+gatewayVersion)
	command.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=")
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", gateway, err, output)
	}
	return binary, nil
})

// StartS3 starts a server with an empty bucket, which ends with the test.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	s := &S3{Address: fmt.Sprintf("127.0.0.1:%d", port), Dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.Dir, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "s3.log")); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	t.Cleanup(func() {
		s.Kill()
		s.log.Close()
	})
	return s
}

// StartS3As starts a server with the command and the variables of a container, in a folder in
// place of /data, which ends with the test.
func StartS3As(t testing.TB, entrypoint []string, environment map[string]string) *S3 {
	t.Helper()
	s := StartS3(t)
	s.Kill()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.Dir, Bucket)); err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/data", s.Dir, ":7070", s.Address, "versitygw", binary)
	s.command = nil
	for _, word := range entrypoint {
		s.command = append(s.command, here.Replace(word))
	}
	for name, value := range environment {
		s.environment = append(s.environment, name+"="+value)
	}
	s.Start(t)
	return s
}

// Start starts a server that was killed, with what it has stored.
func (s *S3) Start(t testing.TB) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s.process = exec.Command(binary, "--access", Key, "--secret", Secret, "--region", "us-east-1", "--port", s.Address,
		"--keep-alive", "--quiet", "posix", s.Dir)
	if s.command != nil {
		s.process = exec.Command(s.command[0], s.command[1:]...)
		s.process.Env = append(os.Environ(), s.environment...)
	}
	s.process.Stdout, s.process.Stderr = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline, again := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		response, err := client.Get("http://" + s.Address + "/")
		if err == nil {
			response.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			text, _ := os.ReadFile(s.log.Name())
			t.Fatalf("the S3 server does not answer: %v\n%s", err, text)
		}
	}
}

// Endpoint is the URL of the server.
func (s *S3) Endpoint() string { return "http://" + s.Address }

// Kill ends the server at once.
func (s *S3) Kill() {
	if s.process.ProcessState != nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// Freeze stops the server without ending it: its connections stay open, and nothing is
// answered from now on. On a busy machine its threads go on for a while after the signal.
func (s *S3) Freeze(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("freezing the S3 server: it is %v, %v", status, err)
	}
}

// Thaw has a frozen server go on.
func (s *S3) Thaw(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *S3) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// Objects returns the keys of all objects of the bucket, with their sizes.
func (s *S3) Objects(t testing.TB) map[string]int64 {
	t.Helper()
	objects := make(map[string]int64)
	root := filepath.Join(s.Dir, Bucket)
	err := filepath.Walk(root, func(name string, info os.FileInfo, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name != root {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if filepath.Base(name) == ".sgwtmp" { // of uploads in progress
			return filepath.SkipDir
		}
		if info.Mode().IsRegular() {
			objects[key] = info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
