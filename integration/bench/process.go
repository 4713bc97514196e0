package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const modulePath = "github.com/generic-registry/caddy-generic-registry"

// build makes a program of this module, as small as xcaddy makes it.
func build(ctx context.Context, pkg, output string) error {
	said, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", output, modulePath+"/"+pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, said)
	}
	return nil
}

// process is one server with a folder of its own.
type process struct {
	binary    string
	arguments []string
	dir       string
	ready     string // URL that answers 200 when it serves
	command   *exec.Cmd
	exited    chan error
}

// newProcess makes the folder and writes the Caddyfile. Nothing runs yet.
func newProcess(binary, dir, caddyfile, ready string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "Caddyfile")
	return &process{binary: binary, arguments: []string{"run", "--config", name}, dir: dir, ready: ready}, os.WriteFile(name, []byte(caddyfile), 0o600)
}

func (p *process) pid() int { return p.command.Process.Pid }

// start runs the process and waits until it serves; the time is from exec to its
// first 200.
func (p *process) start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(filepath.Join(p.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	p.command = exec.Command(p.binary, p.arguments...)
	p.command.Env = append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
	p.command.Stdout, p.command.Stderr = log, log
	begin := time.Now()
	if err := p.command.Start(); err != nil {
		return 0, err
	}
	command, exited := p.command, make(chan error, 1)
	p.exited = exited
	go func() { exited <- command.Wait() }()
	if err := p.serves(ctx); err != nil {
		p.kill()
		return 0, fmt.Errorf("starting %s: %w\n%s", p.binary, err, p.logTail())
	}
	return time.Since(begin), nil
}

// serves waits for the first 200.
func (p *process) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.exited:
			p.exited <- err
			return errors.Join(errors.New("it ended"), err)
		case <-tick.C:
		}
		if answer, err := client.Get(p.ready); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

// stop ends the process as a service manager does.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	defer func() { p.command = nil }()
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("stopping %s: %w\n%s", p.binary, err, p.logTail())
		}
		return nil
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		return fmt.Errorf("stopping %s: it does not end\n%s", p.binary, p.logTail())
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	if p == nil || p.command == nil {
		return
	}
	_ = p.command.Process.Kill()
	<-p.exited
	p.command = nil
}

func (p *process) logTail() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "server.log"))
	return string(text[max(0, len(text)-4000):])
}

// freeAddresses are n on loopback that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	listeners := make([]io.Closer, n)
	addresses := make([]string, n)
	for i := range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		listeners[i], addresses[i] = listener, listener.Addr().String()
	}
	for _, listener := range listeners {
		if err := listener.Close(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}
