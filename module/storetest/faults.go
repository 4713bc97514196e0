package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// long makes Faults run random scenarios too.
const (
	long          = "GENERIC_REGISTRY_LONG"
	longScenarios = 16
)

// FaultPlace is a pair of stores on a disk, of which at least one keeps its bytes
// through a disk.FS.
type FaultPlace struct {
	// In returns what opens the pair in a directory, which is empty the first time,
	// through a file system. When that fails, neither store is open.
	In func(root string) (open func(disk.FS) (store.MetadataStore, store.BlobStore, error))
	// Uploads and Quarantine are the directories of these, below the root.
	Uploads, Quarantine string
	// Only tells which operations get a fault. Nil means all.
	Only func(disktest.Operation) bool
	// Every has only each so many of the cases run, for stores that open slowly. Zero is 1.
	// A long run has all cases of the fixed scenario.
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
	// sudden has nothing closed before, which would make durable what may not have been.
	// A crash is that anyway.
	sudden bool
}

var faultModes = []faultMode{
	{"EIO", disktest.Fault{Mode: disktest.Fail, Err: syscall.EIO}, false, false},
	{"EIO, then a power cut", disktest.Fault{Mode: disktest.Fail, Err: syscall.EIO}, true, true},
	{"ENOSPC, then a power cut", disktest.Fault{Mode: disktest.Fail, Err: syscall.ENOSPC}, true, false},
	{"half a write", disktest.Fault{Mode: disktest.Short, Err: syscall.ENOSPC}, true, false},
	{"EIO after it was done", disktest.Fault{Mode: disktest.Done, Err: syscall.EIO}, true, true},
	{"a crash before it", disktest.Fault{Mode: disktest.CrashBefore}, false, false},
	{"a crash after it", disktest.Fault{Mode: disktest.CrashAfter}, false, false},
	{"a power cut before it", disktest.Fault{Mode: disktest.CrashBefore}, true, false},
	{"a power cut after it", disktest.Fault{Mode: disktest.CrashAfter}, true, false},
}

// Faults lets each operation on the disk of a scenario fail in each way, one at a
// time, and checks what is left: nothing acknowledged is lost, nothing deleted
// comes back, no name is without bytes, nothing refused is visible, nothing
// superfluous stays, and the stores work again.
func Faults(t *testing.T, place FaultPlace) {
	scenarios := [][]faultStep{fixedScenario()}
	every := place.Every
	if os.Getenv(long) != "" {
		every = 1
		for seed := range uint64(longScenarios) {
			scenarios = append(scenarios, randomScenario(seed))
		}
	}
	for i, steps := range scenarios {
		t.Run(fmt.Sprintf("scenario %d", i), func(t *testing.T) {
			s := faultScenario{place: place, steps: steps, dir: t.TempDir()}
			if i == 0 {
				s.place.Every = every
			}
			s.run(func(violation string) bool {
				t.Error(violation)
				return true
			})
			t.Logf("%d steps, %d operations, %d cases", len(steps), s.operations, s.cases)
		})
	}
}

// FirstFault runs the fixed scenario of Faults until something is wrong, and
// returns what: the test of the test, with a disk that lies.
func FirstFault(t testing.TB, place FaultPlace) (violation string) {
	s := faultScenario{place: place, steps: fixedScenario(), dir: t.TempDir()}
	s.run(func(found string) bool {
		violation = found
		return false
	})
	return violation
}

// faultScenario is all cases of some steps.
type faultScenario struct {
	place FaultPlace
	steps []faultStep
	dir   string

	operations, cases int
}

// faultCase is one operation and what happens at it.
type faultCase struct {
	number int // of the case
	index  int // of the operation
	mode   faultMode
}

// run reports each violation, until report returns false.
func (s *faultScenario) run(report func(violation string) bool) {
	quiet := runFaults(s.place, s.steps, filepath.Join(s.dir, "0"), faultMode{powerCut: true}, 0)
	for _, violation := range quiet.violations {
		if !report("without a fault: " + violation) {
			return
		}
	}
	if len(quiet.violations) > 0 {
		return // each case would say the same
	}
	queue, found := make(chan faultCase), make(chan string)
	done := make(chan struct{})
	go s.fill(queue, quiet, done)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for c := range queue {
				s.runCase(c, quiet, found)
			}
		})
	}
	go func() { workers.Wait(); close(found) }()
	goOn := true
	for violation := range found {
		if goOn && !report(violation) {
			goOn = false
			close(done)
		}
	}
}

// fill queues every case, until done is closed.
func (s *faultScenario) fill(queue chan<- faultCase, quiet *faultRun, done <-chan struct{}) {
	defer close(queue)
	s.operations = quiet.scenarioEnd
	every, number := max(1, s.place.Every), 0
	for i, operation := range quiet.fsys.Operations()[:quiet.scenarioEnd] {
		if s.place.Only != nil && !s.place.Only(operation) {
			continue
		}
		for _, mode := range faultModes {
			if mode.fault.Mode == disktest.Short && operation.Kind != disktest.Write && operation.Kind != disktest.WriteAt {
				continue
			}
			if number++; number%every != 0 {
				continue
			}
			s.cases++
			select {
			case queue <- faultCase{s.cases, i, mode}:
			case <-done:
				return
			}
		}
	}
}

func (s *faultScenario) runCase(c faultCase, quiet *faultRun, found chan<- string) {
	r := runFaults(s.place, s.steps, filepath.Join(s.dir, fmt.Sprint(c.number)), c.mode, c.index+1)
	r.wantSameAs(quiet, c.index)
	for _, violation := range r.violations {
		found <- fmt.Sprintf("%s at operation %d, %q, in %q: %s", c.mode.name, c.index+1, quiet.fsys.Operations()[c.index], quiet.stepOf(c.index), violation)
	}
}
