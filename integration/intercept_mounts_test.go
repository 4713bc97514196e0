//go:build mounts

package integration

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// injection is what becomes of calls on files below a directory.
type injection struct {
	operation string
	error     syscall.Errno // 0 when the call is made
	at        int           // the first that it is for, from 1
	lasts     bool          // it is for all from that one on
	delay     time.Duration
	hangs     bool // until it is lifted
}

func (i injection) String() string {
	text := fmt.Sprintf("%s, call %d", i.operation, i.at)
	if i.lasts {
		text += " and all that follow"
	}
	switch {
	case i.hangs:
		return text + ": hangs"
	case i.delay > 0:
		return text + ": takes " + i.delay.String()
	}
	return text + ": " + unix.ErrnoName(i.error)
}

// interceptor decides what becomes of the system calls of a server. Files that are not
// below one of its directories are none of its business.
type interceptor struct {
	testing.TB
	below []string

	mu    sync.Mutex
	armed injection
	lift  chan struct{}  // closed when what is armed is lifted
	seen  map[string]int // calls of each operation since it was armed
	hit   []string       // the calls that it was for
}

// intercept has the processes that a server starts from now on ask an interceptor.
func (s *server) intercept(below ...string) *interceptor {
	i := &interceptor{TB: s, below: below, seen: make(map[string]int), lift: make(chan struct{})}
	s.configure = i.attach
	s.Cleanup(func() { i.disarm() })
	return i
}

// attach makes a command one that asks.
func (i *interceptor) attach(command *exec.Cmd) {
	i.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		i.Fatal(err)
	}
	mine, theirs := os.NewFile(uintptr(pair[0]), "interceptor"), os.NewFile(uintptr(pair[1]), "intercepted")
	command.Env = append(command.Env, intercepted+"="+command.Path)
	command.Path = "/proc/self/exe"
	command.ExtraFiles = []*os.File{theirs}
	i.Cleanup(func() { _ = theirs.Close() })
	go func() {
		defer mine.Close()
		listener, err := receiveListener(mine)
		if err != nil {
			i.Errorf("no listener: %v", err)
			return
		}
		defer unix.Close(listener)
		i.serve(listener)
	}()
}

func receiveListener(socket *os.File) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(socket.Fd()), make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d messages: %v", len(messages), err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		return 0, fmt.Errorf("%d files: %v", len(files), err)
	}
	return files[0], nil
}

// notification and response are seccomp_notif and seccomp_notif_resp of
// linux/seccomp.h.
type notification struct {
	id        uint64
	process   uint32
	flags     uint32
	number    int32
	arch      uint32
	address   uint64
	arguments [6]uint64
}

type response struct {
	id    uint64
	value int64
	error int32
	flags uint32
}

const (
	receiveNotification = 0xc0502100
	sendResponse        = 0xc0182101
	continueCall        = 1
)

// serve answers until the process has ended.
func (i *interceptor) serve(listener int) {
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); errors.Is(err, unix.EINTR) {
			continue
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			return
		}
		var asked notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), receiveNotification, uintptr(unsafe.Pointer(&asked))); errno != 0 {
			continue // the thread has ended meanwhile
		}
		i.answer(listener, asked)
	}
}

// answer lets a call be made, or has it fail, now or later.
func (i *interceptor) answer(listener int, asked notification) {
	answer := response{id: asked.id, flags: continueCall}
	armed, lift, isHit := i.judge(asked)
	if armed.error != 0 {
		answer.flags, answer.error = 0, -int32(armed.error)
	}
	if !isHit || !armed.hangs && armed.delay == 0 {
		respond(listener, answer)
		return
	}
	var late <-chan time.Time // never
	if armed.delay > 0 {
		late = time.After(armed.delay)
	}
	go func() {
		select {
		case <-lift:
		case <-late:
		}
		respond(listener, answer)
	}()
}

// respond may find that nobody waits any more.
func respond(listener int, answer response) {
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), sendResponse, uintptr(unsafe.Pointer(&answer)))
}

// judge counts a call and tells whether what is armed is for it.
func (i *interceptor) judge(asked notification) (armed injection, lift chan struct{}, isHit bool) {
	operation, path := i.identify(asked)
	if path == "" {
		return injection{}, nil, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[operation]++
	count := i.seen[operation]
	if i.armed.operation != operation || count < i.armed.at || count > i.armed.at && !i.armed.lasts {
		return injection{}, nil, false
	}
	if len(i.hit) < 100 {
		i.hit = append(i.hit, operation+" "+path)
	}
	return i.armed, i.lift, true
}

// identify returns no path for a call that is none of its business.
func (i *interceptor) identify(asked notification) (operation, path string) {
	for operation, calls := range operations {
		for _, c := range calls {
			if c.number != uintptr(asked.number) {
				continue
			}
			path := c.path(int(asked.process), asked.arguments)
			for _, directory := range i.below {
				if path == directory || strings.HasPrefix(path, directory+"/") {
					return operation, path
				}
			}
			return operation, ""
		}
	}
	return "", ""
}

// arm lifts what is armed, counts anew, and injects something else.
func (i *interceptor) arm(what injection) {
	i.disarm()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed, i.seen, i.hit = what, make(map[string]int), nil
}

// disarm returns the calls that were hit.
func (i *interceptor) disarm() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.lift)
	i.armed, i.lift = injection{}, make(chan struct{})
	return i.hit
}

// hits returns how many calls were hit so far.
func (i *interceptor) hits() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.hit)
}

// counted returns how often each operation was called since it was armed.
func (i *interceptor) counted() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.seen)
}
