//go:build mounts

package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	smallDisk = 256 << 20

	floodReserve = 64 << 20
	smallChange  = 4 << 20 // what metadata and directories may take of it

	// recovery is how soon after room was made uploads must work again, in the long run, whose
	// machine has nothing else to do.
	recovery = 5 * time.Second
)

// flood is a server on a small disk, with another site beside the registry.
type flood struct {
	*server
	disk    *mount
	clients clients
	config  string
	other   int // the port of the other site
	round   int
}

func newFlood(t testing.TB, disk *mount, writers int) *flood {
	t.Helper()
	f := &flood{server: newServer(t), disk: disk, clients: newClients(writers), other: freePort(t)}
	f.root = filepath.Join(disk.path, "registry")
	reserve := fmt.Sprintf("\treserve %d", floodReserve)
	f.config = f.site("metadata badger {", reserve, "}", "blobs filesystem {", reserve, "}") + f.otherSite()
	f.faults = []string{"not enough free disk space", "no space left on device", "the disk is full"}
	for _, h := range f.clients {
		h.refusals = []int{http.StatusInsufficientStorage, http.StatusServiceUnavailable}
	}
	return f
}

func (f *flood) otherSite() string {
	return fmt.Sprintf("http://127.0.0.1:%d {\n\trespond \"another site\"\n}\n", f.other)
}

// probe asks the other site all the time, until the returned function is called,
// which fails the test if an answer was not what it must be.
func (f *flood) probe() (stop func()) {
	var running sync.WaitGroup
	var over atomic.Bool
	var asked, failed int
	var first error
	running.Go(func() {
		for !over.Load() {
			asked++
			got, err := f.tryAt(f.Context(), f.other, http.MethodGet, "/", "", nil)
			if err == nil && (got.status != http.StatusOK || got.text() != "another site") {
				err = fmt.Errorf("%d %s", got.status, got.text())
			}
			if err != nil {
				failed++
				first = err
			}
		}
	})
	return func() {
		f.Helper()
		over.Store(true)
		running.Wait()
		if failed > 0 || asked == 0 {
			f.Errorf("the other site failed %d of %d requests: %v", failed, asked, first)
		}
	}
}

// pour publishes files, ever smaller ones, until not a byte is taken any more.
func (f *flood) pour(h *history) error {
	for most := 4 << 20; most > 0; {
		h.size = func(random *rand.Rand) int { return 1 + random.IntN(most) }
		status, err := h.publish(f.server, h.path(f.round, h.serial))
		switch {
		case err != nil:
			return err
		case status == 0:
			return fmt.Errorf("a publish was not answered")
		case status != http.StatusCreated:
			most /= 4
		}
	}
	return nil
}

// eventuallyAnswers polls until an operation of the first client is answered so.
func (f *flood) eventuallyAnswers(status int, what string, operation func(h *history) (int, error)) {
	f.Helper()
	f.eventually(fmt.Sprintf("%s is answered %d", what, status), func() bool {
		got, err := operation(f.clients[0])
		if err != nil {
			f.Fatal(err)
		}
		return got == status
	})
}

func (f *flood) publishOne(h *history) (int, error) {
	h.size = func(*rand.Rand) int { return 1000 }
	return h.publish(f.server, h.path(f.round, h.serial))
}

// wantRecovery fails unless uploads work soon after room was made.
func (f *flood) wantRecovery(what string) {
	f.Helper()
	made := time.Now()
	f.eventuallyAnswers(http.StatusCreated, "an upload after "+what, f.publishOne)
	if took := time.Since(made); isLong() && took > recovery {
		f.Errorf("uploads worked again %s after %s, want at most %s", took, what, recovery)
	}
}

// wantAllThere of a server that may refuse no read now.
func (f *flood) wantAllThere() {
	f.Helper()
	f.clients.each(f, func(h *history) error {
		_, err := h.look(f.server)
		return err
	})
}

// eventuallyAllThere is wantAllThere after a start, or for a database that may have failed for
// want of an inode: while it is opened again, what is not in memory is 503.
func (f *flood) eventuallyAllThere() {
	f.Helper()
	f.clients.each(f, func(h *history) error { return h.check(f.server) })
}

// deleteThird deletes files with nothing left but the reserve: each must work.
func (f *flood) deleteThird(h *history) error {
	count := 0
	for path, contents := range h.files {
		if contents.has(absent) || !strings.HasPrefix(path, h.version(f.round)) {
			continue
		}
		if count++; count%3 > 0 {
			continue
		}
		if status, err := h.deleteFile(f.server, path); err != nil || status != http.StatusNoContent {
			return fmt.Errorf("deleting inside the reserve: %d, %v", status, err)
		}
	}
	return nil
}

// TestFullDisk fills a small disk again and again, by uploads and by another
// program. The registry refuses what it cannot store and goes on; nothing else of
// the same Caddy notices.
// Seen to fail with uploads into the reserve of blobs.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	rounds := 2
	if isLong() {
		rounds = 10
	}
	for name, newDisk := range map[string]func(t testing.TB) *mount{
		"tmpfs": func(t testing.TB) *mount { return newMemoryMount(t, smallDisk) },
		"ext4":  func(t testing.TB) *mount { return newMount(t, "ext4", smallDisk) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFlood(t, newDisk(t), 16)
			f.start(f.config)
			process := f.process.Process.Pid
			stop := f.probe()
			for f.round = range rounds {
				f.fillByUploads()
				f.fillByAnother()
				if t.Failed() {
					t.Fatalf("in round %d", f.round)
				}
			}
			stop()
			select {
			case err := <-f.exited:
				f.exited <- err
				t.Errorf("process %d ended: %v", process, err)
			default:
			}
			f.kill()
			f.start(f.config)
			f.eventuallyAllThere()
		})
	}
}

// fillByUploads ends with room.
func (f *flood) fillByUploads() {
	f.Helper()
	f.clients.each(f, f.pour)
	f.eventuallyAnswers(http.StatusInsufficientStorage, "an upload to a full disk", f.publishOne)
	if free := f.disk.free(); free < floodReserve-smallChange {
		f.Errorf("uploads left %d MiB, the reserve is %d MiB", free>>20, int64(floodReserve>>20))
	}
	f.wantAllThere()
	f.clients.each(f, f.deleteThird)
	f.wantRecovery("deletes")
	f.wantAllThere()
}

// fillByAnother has another program take the reserve too, under clients that
// upload. It ends with an empty registry.
func (f *flood) fillByAnother() {
	f.Helper()
	for _, busy := range []bool{true, false} {
		taken := f.disk.fillUp()
		if busy {
			f.clients.each(f, f.pour)
		}
		<-taken.full
		f.eventuallyAnswers(http.StatusInsufficientStorage, "an upload", f.publishOne)
		f.eventuallyAnswers(http.StatusInsufficientStorage, "a delete", f.deleteOne)
		f.wantAllThere() // reads go on
		taken.remove()
		f.wantRecovery("another program went")
	}
	f.clients.each(f, func(h *history) error {
		status, err := h.deleteVersion(f.server, f.round)
		if err == nil && status != http.StatusNoContent && status != http.StatusNotFound {
			err = fmt.Errorf("deleting all: %d", status)
		}
		return err
	})
	f.eventually("the bytes are gone", func() bool {
		committed, uploads := f.blobs()
		return len(committed) == 0 && len(uploads) == 0
	})
}

// deleteOne deletes a file that is there.
func (f *flood) deleteOne(h *history) (int, error) {
	for path, contents := range h.files {
		if !contents.has(absent) {
			return h.deleteFile(f.server, path)
		}
	}
	return 0, fmt.Errorf("no file is left to delete")
}

// TestFullDiskAtStart: without room the store is not opened, and Caddy runs.
func TestFullDiskAtStart(t *testing.T) {
	t.Parallel()
	f := newFlood(t, newMount(t, "ext4", smallDisk), 1)
	f.start(f.config)
	if status, err := f.publishOne(f.clients[0]); status != http.StatusCreated || err != nil {
		t.Fatalf("publishing: %d, %v", status, err)
	}
	path := f.clients[0].path(0, 0)
	f.kill()
	taken := f.disk.fillUp()
	<-taken.full
	f.start(f.config)
	stop := f.probe()
	f.want(http.StatusInsufficientStorage, http.MethodPut, f.clients[0].path(0, 99), "alice", []byte("no room"))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := f.want(http.StatusServiceUnavailable, method, path, "alice", nil); got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", method)
		}
	}
	taken.remove()
	f.eventually("the store is open again", func() bool { return f.do(http.MethodGet, path, "alice", nil).status == http.StatusOK })
	f.wantAllThere()
	f.wantRecovery("the store opened")
	stop()
}
