//go:build mounts

package integration

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// diskSize is what mkfs.xfs takes at least.
const diskSize = 320 << 20

// rig is a server whose disks lose their power.
type rig struct {
	*server
	disks    []*mount
	metadata string // its directory
	clients  clients
	config   string
	tracer   atomic.Pointer[tracer] // the last one
}

// newRig has the registry on one disk, or its metadata on a second one: then
// nothing that syncs the one happens to save the other.
func newRig(t testing.TB, system string, disks, writers int) *rig {
	t.Helper()
	r := &rig{clients: newClients(writers)}
	for range disks {
		r.disks = append(r.disks, newMount(t, system, diskSize))
	}
	r.server = newServer(t) // its process ends before the disks are unmounted
	r.root = filepath.Join(r.disks[0].path, "registry")
	r.metadata = filepath.Join(r.disks[disks-1].path, "metadata")
	r.config = r.site("metadata badger {", "\tdir "+r.metadata, "\treserve 64MiB", "}", "blobs filesystem {", "\treserve 64MiB", "}")
	return r
}

// cut cuts the power under the clients once they had some answers, brings it back,
// and returns what is not as they know it.
func (r *rig) cut(answers int64) error {
	r.Helper()
	work := func(answered *atomic.Int64) error {
		return r.clients.try(func(h *history) error { return h.work(r.server, answered) })
	}
	if err := r.beside(work, answers, r.fall); err != nil {
		return err
	}
	return r.rise()
}

// beside has something happen while the clients work, once they had some answers. It
// returns what the work does.
func (r *rig) beside(work func(answered *atomic.Int64) error, answers int64, happens func()) error {
	r.Helper()
	var answered atomic.Int64
	working := make(chan error, 1)
	go func() { working <- work(&answered) }()
	var err error
	over := false
	r.eventually("the clients are at work", func() bool {
		select {
		case err = <-working:
			over = true
		default:
		}
		return over || answered.Load() >= answers
	})
	happens()
	if !over {
		err = <-working
	}
	return err
}

// fall is the moment without power.
func (r *rig) fall() {
	r.Helper()
	freeze(r, r.process.Process.Pid)
	for _, disk := range r.disks {
		disk.cutPower()
	}
	r.kill()
	r.client.CloseIdleConnections()
	for _, disk := range r.disks {
		disk.unmount()
		disk.mount()
	}
}

// rise starts the server and compares.
func (r *rig) rise() error {
	r.Helper()
	if err := r.starts(r.config); err != nil {
		return err
	}
	return r.clients.try(func(h *history) error { return h.check(r.server) })
}

// cutStart cuts the power while the server opens its stores.
func (r *rig) cutStart() error {
	r.Helper()
	r.kill()
	r.launch(r.config)
	r.eventually("the server opens its stores", func() bool {
		return hasOpen(r.process.Process.Pid, r.disks[len(r.disks)-1].path)
	})
	r.fall()
	return r.rise()
}

// TestPowerCutLosesNothing cuts the power of the disks under 8 clients that publish
// and delete, as TestKillLosesNothing kills the process.
func TestPowerCutLosesNothing(t *testing.T) {
	t.Parallel()
	for _, setup := range []struct {
		system string
		disks  int
		cycles int
	}{{"ext4", 1, 3}, {"ext4", 2, 3}, {"xfs", 1, 2}, {"xfs", 2, 2}} {
		t.Run(fmt.Sprintf("%s on %d disks", setup.system, setup.disks), func(t *testing.T) {
			t.Parallel()
			cycles := setup.cycles
			if isLong() {
				cycles = 50
			}
			r := newRig(t, setup.system, setup.disks, 8)
			r.start(r.config)
			for cycle := range cycles {
				err := r.cut(int64(5 + 17*(cycle%8)))
				if err == nil && cycle%5 == 1 {
					err = r.cutStart()
				}
				if err != nil {
					t.Fatalf("in cycle %d: %v", cycle, err)
				}
			}
			contents := r.clients.contents()
			r.sweepOrphans()
			r.eventually("just the contents that are there are on disk", func() bool {
				committed, uploads := r.blobs()
				return len(committed) == len(contents) && len(uploads) == 0
			})
			t.Logf("%d files after %d cuts", len(contents), cycles)
		})
	}
}

// smallPacks has packs that are soon full of blobs, and sooner of lines, with blocks prepared for
// few blobs.
var smallPacks = edit{"module/blobs/packs/store.go", "Blocks: 16 << 10, Lines: 256 << 10, Step: 1 << 20", "Blocks: 64, Lines: 4 << 10, Step: 32 << 10"}

// TestPowerCutFindsMissingSyncs: each sync that is taken out of the sources loses
// something acknowledged, except those of the database alone, which the journal
// makes up for.
func TestPowerCutFindsMissingSyncs(t *testing.T) {
	t.Parallel()
	const cycles = 10
	const writer = "module/blobs/filesystem/writer.go"
	database := edit{"module/metadata/badger/open.go", "WithSyncWrites(true)", "WithSyncWrites(false)"}
	noneSmall := edit{writer, "case size < 0:\n\t\treturn s.createGrowing(ctx)\n\tcase size <= smallBlob:", "case size < -1:"}
	for _, missing := range []struct {
		name  string
		edits []edit
		loses bool
		disks int
	}{
		{"the bytes of a blob", []edit{noneSmall, {writer, "err := w.file.Sync()", "err := error(nil)"}}, true, 2},
		{"the packs of small blobs", []edit{{"module/blobs/packs/write.go", "err = s.file.Sync()", "err = error(nil)"}}, true, 2},
		{"nothing, with packs that are soon full", []edit{smallPacks}, false, 2},
		{"the name of a blob", []edit{noneSmall, {"module/disk/sync_unix.go", "errors.Join(directory.Sync(), directory.Close())", "errors.Join(directory.Close())"}}, true, 2},
		{"the metadata", []edit{{"module/journal/journal.go", "if err := j.file.Sync(); err != nil {", "if err := error(nil); err != nil {"}, database}, true, 2},
		{"the database, with its journal synced", []edit{database}, false, 2},
		{"small blobs, and the lines beside them", []edit{{"module/blobs/packs/carry.go", "err := c.file.Sync(); err", "err := error(nil); err"}}, true, 1},
		{"the lines that packs have, which the journal lacks", []edit{{"module/journal/carrier.go", "range bytes.Lines(lines)", "range bytes.Lines(lines[:0])"}}, true, 1},
		{"nothing, with packs that are soon full of lines", []edit{smallPacks}, false, 1},
	} {
		t.Run(missing.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "ext4", missing.disks, 2)
			r.binary = mutant(t, missing.edits...)
			r.faults = []string{""} // whatever the loss leads to
			if missing.loses {
				for _, h := range r.clients {
					h.final = "stored data is damaged"
				}
			}
			r.start(r.config)
			var found error
			for cycle := 0; cycle < cycles && found == nil; cycle++ {
				found = r.cut(int64(5 + 4*cycle))
				t.Logf("cycle %d: %.300v", cycle, found)
			}
			if (found != nil) != missing.loses {
				t.Errorf("of %d power cuts: %v", cycles, found)
			}
		})
	}
}
