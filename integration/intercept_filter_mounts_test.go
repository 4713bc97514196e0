//go:build mounts

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// intercepted makes the test binary a program that has its system calls reported at a
// socket, and becomes the binary that the variable names.
const intercepted = "GENERIC_REGISTRY_INTERCEPTED"

const socketOfInterceptor = 3

var _ = becomeIntercepted()

func becomeIntercepted() struct{} {
	binary := os.Getenv(intercepted)
	if binary == "" {
		return struct{}{}
	}
	runtime.LockOSThread() // the filter is this thread's, until the thread is the process
	listener, err := installFilter()
	if err == nil {
		err = unix.Sendmsg(socketOfInterceptor, []byte{0}, unix.UnixRights(listener), nil, 0)
	}
	if err == nil {
		err = errors.Join(unix.Close(listener), unix.Close(socketOfInterceptor))
	}
	if err == nil {
		err = unix.Exec(binary, os.Args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "intercepting system calls needs Linux 5.19: %v\n", err)
	os.Exit(1)
	return struct{}{}
}

// operations are kinds of system calls, and how to tell what file a call is about.
var operations = map[string][]systemCallOn{
	"open":     {{unix.SYS_OPENAT, nameOf(0, 1)}},
	"rename":   {{unix.SYS_RENAMEAT, nameOf(2, 3)}, {unix.SYS_RENAMEAT2, nameOf(2, 3)}},
	"unlink":   {{unix.SYS_UNLINKAT, nameOf(0, 1)}},
	"mkdir":    {{unix.SYS_MKDIRAT, nameOf(0, 1)}},
	"map":      {{unix.SYS_MMAP, fileOf(4)}, {unix.SYS_MREMAP, mappedAt(0)}},
	"sync":     {{unix.SYS_FSYNC, fileOf(0)}, {unix.SYS_FDATASYNC, fileOf(0)}, {unix.SYS_SYNCFS, fileOf(0)}, {unix.SYS_MSYNC, mappedAt(0)}},
	"statfs":   {{unix.SYS_STATFS, nameOf(-1, 0)}, {unix.SYS_FSTATFS, fileOf(0)}},
	"readdir":  {{unix.SYS_GETDENTS64, fileOf(0)}},
	"truncate": {{unix.SYS_FTRUNCATE, fileOf(0)}, {unix.SYS_FALLOCATE, fileOf(0)}},
	"write":    {{unix.SYS_WRITE, fileOf(0)}, {unix.SYS_PWRITE64, fileOf(0)}},
	"lock":     {{unix.SYS_FLOCK, fileOf(0)}},
}

type systemCallOn struct {
	number uintptr
	path   func(process int, arguments [6]uint64) string
}

func fileOf(argument int) func(int, [6]uint64) string {
	return func(process int, arguments [6]uint64) string {
		return linkOf(process, "fd", fmt.Sprint(int32(arguments[argument])))
	}
}

func linkOf(process int, name ...string) string {
	target, _ := os.Readlink(filepath.Join(append([]string{"/proc", fmt.Sprint(process)}, name...)...))
	return target
}

// nameOf is for a call with a directory, -1 for none, and a name in it.
func nameOf(directory, name int) func(int, [6]uint64) string {
	return func(process int, arguments [6]uint64) string {
		path := textAt(process, arguments[name])
		switch {
		case filepath.IsAbs(path):
			return filepath.Clean(path)
		case directory < 0 || int32(arguments[directory]) == unix.AT_FDCWD:
			return filepath.Join(linkOf(process, "cwd"), path)
		}
		return filepath.Join(linkOf(process, "fd", fmt.Sprint(int32(arguments[directory]))), path)
	}
}

// textAt reads a name out of the memory of a process.
func textAt(process int, address uint64) string {
	var text []byte
	for len(text) < unix.PathMax {
		chunk := make([]byte, 4096-address%4096) // within a page: the next may not be there
		n, err := unix.ProcessVMReadv(process, []unix.Iovec{{Base: &chunk[0], Len: uint64(len(chunk))}}, []unix.RemoteIovec{{Base: uintptr(address), Len: len(chunk)}}, 0)
		if err != nil {
			return ""
		}
		if end := strings.IndexByte(string(chunk[:n]), 0); end >= 0 {
			return string(append(text, chunk[:end]...))
		}
		text = append(text, chunk[:n]...)
		address += uint64(n)
	}
	return ""
}

// mappedAt is for a call with an address of mapped memory.
func mappedAt(argument int) func(int, [6]uint64) string {
	return func(process int, arguments [6]uint64) string {
		maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", process))
		for line := range strings.Lines(string(maps)) {
			var from, to uint64
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || arguments[argument] < from || arguments[argument] >= to {
				continue
			}
			if i := strings.IndexByte(line, '/'); i >= 0 {
				return strings.TrimSpace(line[i:])
			}
			return ""
		}
		return ""
	}
}

// installFilter has the kernel ask before the calls of all operations: see
// seccomp_unotify(2). Calls that map no file go unasked.
func installFilter() (listener int, err error) {
	const offsetOfNumber, offsetOfMappedFile = 0, 16 + 4*8
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetOfNumber}}
	for _, calls := range operations {
		for _, c := range calls {
			ask := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF}}
			if c.number == unix.SYS_MMAP {
				ask = append([]unix.SockFilter{
					{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetOfMappedFile},
					{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 1<<32 - 1, Jf: 1},
					{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
				}, ask...)
			}
			filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(c.number), Jf: uint8(len(ask))})
			filter = append(filter, ask...)
		}
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("giving up privileges: %w", err)
	}
	// A call that was reported is not interrupted by signals, which Go sends itself: it
	// would be made, and counted, again.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("installing the filter: %w", errno)
	}
	return int(fd), nil
}
