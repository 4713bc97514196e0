//go:build mounts

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// fault is a system call that fails, and what is known of it.
type fault struct {
	calls string
	// journal has only those on the journal fail.
	journal bool
	// lasts has the call fail from then on, and not once.
	lasts bool
	// silent calls are made behind the requests: none needs to be refused.
	silent bool
}

// faults are those of a publish and a delete, and of what follows them. A sync that
// fails from then on does so for files and for mapped memory, as disks do.
var faults = []fault{
	{calls: "fsync,fdatasync"},
	{calls: "msync", silent: true}, // can be the one of the value log, which has nothing
	{calls: "pwrite64", journal: true},
	{calls: "renameat"},
	{calls: "unlinkat", silent: true},
	{calls: "fdatasync", journal: true},
	{calls: "fsync,fdatasync,msync", lasts: true},
	{calls: "renameat", lasts: true},
	{calls: "pwrite64,ftruncate", journal: true, lasts: true},
	{calls: "unlinkat", lasts: true, silent: true},
	{calls: "fsync,fdatasync,msync,renameat,unlinkat,mkdirat,ftruncate,fallocate", lasts: true},
	{calls: "fsync,fdatasync,msync,renameat,unlinkat,mkdirat,ftruncate,fallocate"},
}

// faultsOfPacks are those of writing to them, of taking bytes out, and of beginning one.
// Deletions, which no request waits for, make the silent ones too, and fallocate alone.
var faultsOfPacks = []fault{
	{calls: "pwrite64", silent: true},
	{calls: "pwrite64", lasts: true},
	{calls: "fallocate", silent: true},
	{calls: "fallocate", lasts: true, silent: true},
	{calls: "fdatasync,fallocate,pwrite64", lasts: true},
}

// TestEIO has the disk fail under the server, at one call or from one on. What was
// acknowledged survives a power cut even then, reads go on, and when the disk works
// again so does the registry.
// Seen to fail with Badger making its file of statistics itself, which ends the process.
func TestEIO(t *testing.T) {
	t.Parallel()
	r := newRig(t, "ext4", 2, 8)
	r.strike(faults)
}

// TestEIOOfPacks is TestEIO for the packs of small blobs, which are soon full. On one disk they
// carry lines of the journal.
func TestEIOOfPacks(t *testing.T) {
	t.Parallel()
	for disks := range 2 {
		t.Run(fmt.Sprintf("on %d disks", disks+1), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4", disks+1, 8)
			r.binary = mutant(t, smallPacks)
			r.strike(faultsOfPacks)
		})
	}
}

// strike starts the server and has it meet faults, at more and more positions.
func (r *rig) strike(faults []fault) {
	r.Helper()
	rounds := 1
	if isLong() {
		rounds = 9
	}
	r.server.faults = []string{"input/output error", "request failed", "scrubbing; trying again", "whether it was stored is being found out", "a commit failed", "rebuilding it from the journal", "the database lost records in a compaction"}
	for _, h := range r.clients {
		h.refusals = []int{http.StatusServiceUnavailable}
		h.unclear = []int{http.StatusInternalServerError}
	}
	r.start(r.config)
	r.put(filePath("alice", "p", "1", "f"), []byte("the store is open"))
	for when := 1; when <= rounds; when++ {
		for i, f := range faults {
			err := r.fail(f, when, (i+when)%2 > 0)
			if err != nil || r.Failed() {
				r.keep(r.ArtifactDir())
				r.Fatalf("with %s failing (lasting: %v, journal: %v), at position %d: %v", f.calls, f.lasts, f.journal, when, err)
			}
		}
	}
}

// fail is one position. It ends with a server that works.
func (r *rig) fail(f fault, when int, heals bool) error {
	r.Helper()
	began := len(r.logText())
	refused, err := r.workUnder(f, when)
	if err != nil {
		return err
	}
	tracer := r.tracer.Load()
	if refused == 0 && !f.silent {
		return fmt.Errorf("nothing was refused after %q", tracer.injected())
	}
	if err := r.read(f.lasts, began); err != nil {
		return fmt.Errorf("while the disk fails: %w", err)
	}
	tracer.detach()
	for _, name := range tracer.syncedAgain() {
		for _, directory := range []string{"tmp", "packs"} {
			if strings.HasPrefix(name, filepath.Join(r.root, "blobs", directory)+"/") {
				return fmt.Errorf("%s was synced again after a sync of it failed", name)
			}
		}
	}
	if heals {
		r.eventually("the registry takes uploads again", func() bool {
			status, err := r.clients[0].next(r.server)
			if err != nil {
				r.Fatal(err)
			}
			return status == http.StatusCreated
		})
	}
	r.fall()
	if err := r.rise(); err != nil {
		return fmt.Errorf("after a power cut: %w", err)
	}
	return nil
}

// keep copies the logs of the server and of strace; with -artifacts they outlive
// the test.
func (r *rig) keep(directory string) {
	r.Helper()
	for _, name := range []string{r.logName(), r.tracer.Load().log} {
		if err := copyFile(name, filepath.Join(directory, filepath.Base(name))); err != nil {
			r.Error(err)
		}
	}
	r.Logf("logs of server and strace are in %s (kept with -artifacts)", directory)
}

// read reads everything. Reads go on while the disk fails, but those that need a database
// which has failed wait until it can be opened again. When the disk fails once and
// then again, while the database is opened again because of the first time, they
// pause until the next try. When it fails a compaction, which then loses records, what
// is not found may have been there: that is not told before the disk works again.
func (r *rig) read(atOnce bool, began int) (err error) {
	r.Helper()
	look := func(h *history) error {
		_, err := h.look(r.server)
		return err
	}
	if atOnce {
		return r.clients.try(func(h *history) error {
			err := look(h)
			log := r.logText()[began:]
			if errors.Is(err, errUnavailable) && (strings.Contains(log, "the database failed") || strings.Contains(log, "the database lost records in a compaction")) {
				return nil // all that was found is right
			}
			return err
		})
	}
	r.eventually("everything can be read", func() bool {
		err = r.clients.try(look)
		return !errors.Is(err, errUnavailable)
	})
	return err
}

// journal returns the segment that is appended to.
func (r *rig) journal() []string {
	r.Helper()
	segments, err := filepath.Glob(filepath.Join(r.metadata, "journal", "*.jsonl"))
	if err != nil || len(segments) == 0 {
		r.Fatalf("no journal in %s: %v", r.metadata, err)
	}
	return segments[len(segments)-1:]
}

const (
	// Operations of each client in a position: those after the fault, and all that the
	// tracer sees.
	operationsAfter = 6
	mostOperations  = 600
)

// workUnder has the clients work until a call has failed and a little longer. It
// returns how many requests were refused. One that fails once is the when-th of a
// thread. What fails from then on does so for all threads, from somewhere in the work:
// the store, which tries the disk in a thread of its own, must not find it good.
func (r *rig) workUnder(f fault, when int) (refused int64, err error) {
	r.Helper()
	inject := func(position string) {
		var paths []string
		if f.journal {
			paths = r.journal()
		}
		r.tracer.Store(r.inject(f.calls, position, paths...))
	}
	r.tracer.Store(nil)
	reached := func() bool {
		tracer := r.tracer.Load()
		return tracer != nil && len(tracer.injected()) > 0
	}
	if !f.lasts {
		inject(fmt.Sprint(when))
		return r.workUntil(reached, new(atomic.Int64))
	}
	err = r.beside(func(answered *atomic.Int64) (err error) {
		refused, err = r.workUntil(reached, answered)
		return err
	}, int64(when), func() { inject("1+") })
	return refused, err
}

// workUntil has the clients work until something has happened and a little longer.
func (r *rig) workUntil(happened func() bool, answered *atomic.Int64) (refused int64, err error) {
	r.Helper()
	var count, after atomic.Int64
	err = r.clients.try(func(h *history) error {
		for operations := 0; operations < mostOperations; operations++ {
			if r.tracer.Load() == nil {
				operations = 0 // strace is not there yet
			}
			if after.Load() == 0 && happened() {
				after.Store(1)
			}
			status, err := h.next(r.server)
			if err != nil {
				return err
			}
			answered.Add(1)
			if status >= http.StatusInternalServerError {
				count.Add(1)
			}
			if after.Load() > 0 && after.Add(1) > operationsAfter*int64(len(r.clients)) {
				return nil
			}
		}
		return errors.New("the fault was not reached")
	})
	return count.Load(), err
}

// TestEIOAtStart: a disk that fails while the store is opened is no fault of the
// configuration. It is loaded, the other sites of it are served, and the store is
// opened once the disk works.
func TestEIOAtStart(t *testing.T) {
	t.Parallel()
	f := newFlood(t, newMount(t, "ext4", diskSize), 1)
	f.faults = []string{"input/output error"}
	f.start(f.config)
	path := filePath("alice", "p", "1", "f")
	f.put(path, []byte("there"))
	f.kill()
	f.start(f.global() + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond \"no registry yet\"\n}\n", f.port))
	tracer := f.inject("fsync,fdatasync,msync", "1+")
	f.mustReload(f.config)
	stop := f.probe()
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		if got := f.want(http.StatusServiceUnavailable, method, path, "alice", nil); got.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", method)
		}
	}
	if len(tracer.injected()) == 0 {
		t.Error("no call has failed")
	}
	tracer.detach()
	f.eventually("the store is open", func() bool { return f.do(http.MethodGet, path, "alice", nil).status == http.StatusOK })
	f.wantBytes(path, []byte("there"))
	f.wantRecovery("the disk works")
	stop()
}
