package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// faultRun is a scenario with one fault, and what was found wrong.
type faultRun struct {
	*registry.Registry // nil while closed
	*faultHistory

	place    FaultPlace
	root     string
	open     func(disk.FS) (store.MetadataStore, store.BlobStore, error)
	fsys     *disktest.FS
	mode     faultMode
	metadata store.MetadataStore
	blobs    store.BlobStore

	orphans     map[store.Locator]bool // written by a step and named by none
	aside       map[store.Locator]string
	uploads     map[store.Ref]*faultUpload
	uploading   int  // uploads that a step left
	bound       bool // acknowledged
	late        bool // the clock shows when the bytes of now are old
	struck      bool // by the fault, in an earlier step
	stepStarts  []int
	stepNames   []string
	scenarioEnd int // operations of all steps
	violations  []string
}

// faultStep is one thing that is done to a registry. It returns an error only when
// the outcome is not one that the history allows without a fault.
type faultStep struct {
	name string
	do   func(r *faultRun) error
}

// runFaults runs a scenario in a new directory with a fault at one operation, 0 for
// none, and checks what is left.
func runFaults(place FaultPlace, steps []faultStep, root string, mode faultMode, operation int) *faultRun {
	mode.fault.Operation = operation
	r := &faultRun{
		faultHistory: newFaultHistory(place.Journal),
		place:        place, root: root, mode: mode,
		orphans: make(map[store.Locator]bool),
		aside:   make(map[store.Locator]string),
		uploads: make(map[store.Ref]*faultUpload),
	}
	if err := os.Mkdir(root, 0o700); err != nil {
		r.violate("making the directory: %v", err)
		return r
	}
	defer os.RemoveAll(root)
	r.open = place.In(root)
	r.fsys = disktest.New(root, mode.fault)
	for _, step := range steps {
		if r.take(step); r.fsys.Crashed() || r.Registry == nil && step.name != closeStep.name {
			break
		}
	}
	r.scenarioEnd = len(r.fsys.Operations())
	if !r.fsys.Crashed() && r.Registry != nil {
		r.wantWorks("before it is opened again")
		// Nothing that comes after this one makes it durable by the way.
		if err := r.patiently(publishStep(ref("last", "l", "1", "f"), "last")); err != nil {
			r.violate("publishing the last: %v", err)
		}
	}
	r.end()
	r.checkLeft()
	return r
}

func (r *faultRun) violate(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// take does a step and judges its error.
func (r *faultRun) take(step faultStep) {
	r.stepStarts, r.stepNames = append(r.stepStarts, len(r.fsys.Operations())), append(r.stepNames, step.name)
	err := step.do(r)
	now := r.fsys.Struck() && !r.struck
	switch {
	case r.fsys.Crashed():
	case err == nil && !r.struck:
		r.checkTidy(step.name) // also when the step passed a fault in silence
	case err == nil, r.struck && r.place.Journal && errors.Is(err, store.ErrUnavailable):
	case !now:
		r.violate("%s: %v", step.name, err)
	case r.mayBeUnclear():
	case errors.Is(r.mode.fault.Err, syscall.ENOSPC) && !errors.Is(err, store.ErrNoSpace):
		r.violate("%s: a full disk is %v", step.name, err)
	}
	if now && !r.fsys.Crashed() {
		r.again(step)
		r.checkFiles("after the fault in " + step.name)
	}
	r.struck = r.struck || now
}

// mayBeUnclear tells whether nobody knows what is on disk after the fault: a journal
// whose sync failed cannot say that nothing happened.
func (r *faultRun) mayBeUnclear() bool {
	if !r.place.Journal {
		return false
	}
	kind := r.fsys.Operations()[r.mode.fault.Operation-1].Kind
	return kind == disktest.Sync || kind == disktest.SyncDirectory
}

// again opens the stores when the fault kept them from opening.
func (r *faultRun) again(step faultStep) {
	if r.Registry != nil || step.name == closeStep.name {
		return
	}
	if err := openStep.do(r); err != nil {
		r.violate("%s, again: %v", step.name, err)
	}
}

func (r *faultRun) clock() time.Time {
	if r.late {
		return time.Now().Add(store.SweepAfter + time.Minute)
	}
	return epoch
}

// start opens the stores and binds them, as an app does. Blobs that were bound are
// offered to another metadata store first.
func (r *faultRun) start(fsys disk.FS) (err error) {
	if r.metadata, r.blobs, err = r.open(fsys); err != nil {
		return err
	}
	if r.bound {
		if err := r.blobs.Bind(context.Background(), "another"); !errors.Is(err, store.ErrMismatch) {
			r.violate("blobs that were bound are given to another metadata store: %v", err)
		}
	}
	if err := r.blobs.Bind(context.Background(), r.metadata.ID()); err != nil {
		return errors.Join(err, r.blobs.Close(), r.metadata.Close())
	}
	r.bound, r.uploading = true, 0
	r.Registry = registry.New(r.metadata, r.blobs, registry.Options{Now: r.clock, Idle: true})
	return nil
}

func (r *faultRun) stop() error {
	if r.Registry == nil {
		return nil
	}
	err := r.Registry.Close()
	r.Registry = nil
	return err
}

// end ends the process, or the machine.
func (r *faultRun) end() {
	if r.mode.sudden {
		r.fsys.Kill()
	}
	err := r.stop()
	if err != nil && !r.fsys.Crashed() && !r.fsys.Struck() {
		r.violate("closing: %v", err)
	}
	if !r.mode.powerCut {
		r.fsys.Kill()
		return
	}
	if err := r.fsys.PowerCut(); err != nil {
		r.violate("cutting the power: %v", err)
	}
}

// wantSameAs holds that up to an operation the run is the same as the run without a fault.
// So each operation of the run without a fault was given a fault once.
func (r *faultRun) wantSameAs(quiet *faultRun, index int) {
	got, want := r.fsys.Operations(), quiet.fsys.Operations()
	if len(got) <= index || got[index].Kind != want[index].Kind {
		r.violate("the run is another one: %d operations\n%s", len(got), r.fsys.Log(0))
	}
}

// stepOf names the step that did an operation.
func (r *faultRun) stepOf(index int) (name string) {
	for i, start := range r.stepStarts {
		if start <= index {
			name = r.stepNames[i]
		}
	}
	return name
}

// names lists a directory below the root. One that is absent is empty.
func (r *faultRun) names(directory string) []string {
	entries, err := os.ReadDir(filepath.Join(r.root, filepath.FromSlash(directory)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.violate("listing %s: %v", directory, err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
