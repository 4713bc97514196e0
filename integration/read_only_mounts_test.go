//go:build mounts

package integration

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAReadOnlyRootServesReads: a file system that takes no writes any more, as after an
// error of its disk, is read by a Caddy that starts on it, after a stop and after a kill.
// Changes are refused, nothing is written, and with a file system that takes writes
// everything is as it was.
// Seen to fail with a database that no table was made of yet, taken for one that is gone.
func TestAReadOnlyRootServesReads(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(f *flood){
		"after a stop": func(f *flood) { f.end() },
		"after a kill": func(f *flood) { f.kill() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newMount(t, "ext4", diskSize)
			f := newFlood(t, disk, 4)
			f.faults = []string{"read-only"}
			f.start(f.config)
			f.clients.each(f, func(h *history) error { return h.operate(f.server, 40) })
			path, large := filePath("alice", "p", "1", "last"), filePath("alice", "p", "1", "large")
			f.put(large, pattern(1, 3<<20))
			f.put(path, []byte("published just before the end"))
			end(f)
			disk.run("mount", "-o", "remount,ro", disk.path)
			f.start(f.config)
			f.eventually("reads are answered", func() bool { return f.do(http.MethodGet, path, "alice", nil).status == http.StatusOK })
			f.wantBytes(path, []byte("published just before the end"))
			f.wantBytes(large, pattern(1, 3<<20))
			f.wantAllThere()
			for method, path := range map[string]string{http.MethodPut: path + "-new", http.MethodDelete: path} {
				if got := f.want(http.StatusServiceUnavailable, method, path, "alice", []byte("no")); got.header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", method)
				}
			}
			status, is := f.health()
			if status != http.StatusServiceUnavailable || !is.Live || is.Ready || !strings.Contains(strings.Join(is.Problems, "\n"), "read-only") {
				t.Errorf("health is %d %+v", status, is)
			}
			f.end()
			disk.run("mount", "-o", "remount,rw", disk.path)
			f.start(f.config)
			f.wantBytes(path, []byte("published just before the end"))
			f.wantAllThere()
			f.put(filePath("alice", "p", "1", "new"), []byte("new"))
		})
	}
}

// end stops the server, and waits for its end.
func (f *flood) end() {
	f.Helper()
	f.signal(unix.SIGTERM)
	if err := f.ended(); err != nil {
		f.Fatal(err)
	}
}
