//go:build mounts

package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the environment of a test process with mounts of its own.
const inNamespace = "GENERIC_REGISTRY_MOUNTS"

// The tests with this tag mount file systems. They do it where nobody else sees
// it, and where the kernel unmounts all of it when their last process has ended,
// however it ends: so the test process replaces itself by one in such a namespace,
// before anything else.
var _ = enterNamespace()

func enterNamespace() struct{} {
	if os.Getenv(inNamespace) != "" {
		return struct{}{}
	}
	runtime.LockOSThread() // the namespace is of this thread, until it is the process
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), inNamespace+"=1"))
	}
	fmt.Fprintf(os.Stderr, "tests with the tag mounts need root on Linux: %v\n", err)
	os.Exit(1)
	return struct{}{}
}

// mount is a file system of a test, on an image that outlives its mounts, as a
// disk does.
type mount struct {
	testing.TB
	path    string
	image   string
	options string
}

// newMount makes a file system in an image of a size, and mounts it.
func newMount(t testing.TB, system string, size int64) *mount {
	t.Helper()
	dir := t.TempDir()
	m := &mount{TB: t, path: filepath.Join(dir, "mounted"), image: filepath.Join(dir, "image"), options: "loop"}
	if err := os.Mkdir(m.path, 0o700); err != nil {
		t.Fatal(err)
	}
	makeImage(t, m.image, size)
	switch system {
	case "ext4":
		// Only a sync writes: the journal does not do it by itself meanwhile.
		m.options += ",commit=300"
		m.run("mkfs.ext4", "-q", "-F", m.image)
	case "xfs":
		m.run("mkfs.xfs", "-q", "-f", m.image)
	default:
		t.Fatalf("no file system %s", system)
	}
	t.Cleanup(func() { m.wantNothingLeft(dir) })
	t.Cleanup(m.unmount)
	m.mount()
	return m
}

// newMemoryMount mounts a file system in memory.
func newMemoryMount(t testing.TB, size int64) *mount {
	t.Helper()
	dir := t.TempDir()
	m := &mount{TB: t, path: dir}
	t.Cleanup(func() { m.wantNothingLeft(dir) })
	t.Cleanup(m.unmount)
	m.run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", m.path)
	return m
}

func makeImage(t testing.TB, name string, size int64) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

func (m *mount) run(name string, arguments ...string) {
	m.Helper()
	if output, err := exec.Command(name, arguments...).CombinedOutput(); err != nil {
		m.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, output)
	}
}

// mount mounts the image, replaying the file system's journal if need be. The loop
// device goes with the mount: mount(8) asks the kernel for that.
func (m *mount) mount() {
	m.Helper()
	m.run("mount", "-o", m.options, m.image, m.path)
}

// unmount may find nothing: a test can fail between the two. It waits while the
// file system is busy: a process that another test is just starting has, until its
// exec, a copy of what this one had open.
func (m *mount) unmount() {
	m.Helper()
	if !m.isMounted(m.path) {
		return
	}
	deadline := time.Now().Add(patience)
	for {
		err := unix.Unmount(m.path, 0)
		switch {
		case err == nil:
			return
		case !errors.Is(err, unix.EBUSY) || time.Now().After(deadline):
			m.Fatalf("unmounting %s: %v", m.path, err)
		}
		runtime.Gosched()
	}
}

// goDown is FS_IOC_SHUTDOWN of linux/fs.h; noLogFlush is the flag with which a
// file system stops as with a power cut: what it has not written is lost.
const (
	goDown     = 0x8004587d
	noLogFlush = 2
)

// cutPower stops the file system. What is on it stays visible in memory until it
// is unmounted; writing anything fails.
func (m *mount) cutPower() {
	m.Helper()
	root, err := os.Open(m.path)
	if err != nil {
		m.Fatal(err)
	}
	defer root.Close()
	if err := unix.IoctlSetPointerInt(int(root.Fd()), goDown, noLogFlush); err != nil {
		m.Fatalf("shutting down the file system: %v", err)
	}
}

func (m *mount) isMounted(below string) bool {
	m.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		m.Fatal(err)
	}
	return strings.Contains(string(mounts), below)
}

// wantNothingLeft fails the test for what it left mounted, or attached to a loop
// device. The second only the whole machine shows; what is there of other processes
// has other paths.
func (m *mount) wantNothingLeft(dir string) {
	m.Helper()
	if m.isMounted(dir) {
		m.Errorf("%s is still mounted", dir)
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		m.Fatal(err)
	}
	for _, device := range devices {
		if backing, err := os.ReadFile(device); err == nil && strings.HasPrefix(string(backing), dir) {
			m.Errorf("%s is still attached: %s", strings.TrimSpace(string(backing)), device)
		}
	}
}
