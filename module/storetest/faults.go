package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// long makes Faults run random scenarios too.
const (
	long          = "GENERIC_REGISTRY_LONG"
	longScenarios = 40
)

// FaultPlace is a pair of stores on a disk, of which at least one keeps its bytes
// through a disk.FS.
type FaultPlace struct {
	// In returns what opens the pair in a directory, which is empty the first time,
	// through a file system. When that fails, neither store is open.
	In func(root string) (open func(disk.FS) (registry.MetadataStore, registry.BlobStore, error))
	// Uploads and Quarantine are the directories of these, below the root.
	Uploads, Quarantine string
	// Only tells which operations get a fault. Nil means all.
	Only func(disktest.Operation) bool
	// Every has only each so many of the cases run, unless the run is a long one:
	// with stores that open slowly. Zero is 1.
	Every int
	// Journal says that the metadata store writes through the file system too. Then
	// a change that failed may have happened, and after it others may be
	// ErrUnavailable until the store has healed itself.
	Journal bool
}

// faultMode is one way to fail, and one way for it to end.
type faultMode struct {
	name     string
	fault    disktest.Fault
	powerCut bool
}

var faultModes = []faultMode{
	{"EIO", disktest.Fault{Mode: disktest.Fail, Err: syscall.EIO}, false},
	{"EIO, then a power cut", disktest.Fault{Mode: disktest.Fail, Err: syscall.EIO}, true},
	{"ENOSPC, then a power cut", disktest.Fault{Mode: disktest.Fail, Err: syscall.ENOSPC}, true},
	{"half a write", disktest.Fault{Mode: disktest.Short, Err: syscall.ENOSPC}, true},
	{"EIO after it was done", disktest.Fault{Mode: disktest.Done, Err: syscall.EIO}, true},
	{"a crash before it", disktest.Fault{Mode: disktest.CrashBefore}, false},
	{"a crash after it", disktest.Fault{Mode: disktest.CrashAfter}, false},
	{"a power cut before it", disktest.Fault{Mode: disktest.CrashBefore}, true},
	{"a power cut after it", disktest.Fault{Mode: disktest.CrashAfter}, true},
}

// Faults lets each operation on the disk of a scenario fail in each way, one at a
// time, and checks what is left: nothing acknowledged is lost, nothing deleted
// comes back, no name is without bytes, nothing refused is visible, nothing
// superfluous stays, and the stores work again.
func Faults(t *testing.T, place FaultPlace) {
	scenarios := [][]faultStep{fixedScenario()}
	if os.Getenv(long) != "" {
		for seed := range uint64(longScenarios) {
			scenarios = append(scenarios, randomScenario(seed))
		}
	}
	for i, steps := range scenarios {
		t.Run(fmt.Sprintf("scenario %d", i), func(t *testing.T) { faultScenario(t, place, steps) })
	}
}

func faultScenario(t *testing.T, place FaultPlace, steps []faultStep) {
	dir := t.TempDir()
	quiet := runFaults(place, steps, filepath.Join(dir, "0"), faultMode{powerCut: true}, 0)
	for _, violation := range quiet.violations {
		t.Errorf("without a fault: %s", violation)
	}
	if t.Failed() {
		return
	}
	var cases atomic.Int64
	every, number := max(1, place.Every), 0
	if os.Getenv(long) != "" {
		every = 1
	}
	queue := make(chan func())
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for work := range queue {
				work()
			}
		})
	}
	for i, operation := range quiet.fsys.Operations()[:quiet.scenarioEnd] {
		if place.Only != nil && !place.Only(operation) {
			continue
		}
		for _, mode := range faultModes {
			if mode.fault.Mode == disktest.Short && operation.Kind != disktest.Write {
				continue
			}
			if number++; number%every != 0 {
				continue
			}
			queue <- func() {
				root := filepath.Join(dir, fmt.Sprint(cases.Add(1)))
				r := runFaults(place, steps, root, mode, i+1)
				r.wantSameAs(quiet, i)
				for _, violation := range r.violations {
					t.Errorf("%s at operation %d, %q, in %q: %s", mode.name, i+1, operation, quiet.stepOf(i), violation)
				}
			}
		}
	}
	close(queue)
	workers.Wait()
	t.Logf("%d steps, %d operations, %d cases", len(steps), quiet.scenarioEnd, cases.Load())
}
