package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// floor is what Badger may write on its own account, flushing and compacting,
	// after a change was accepted: below it no change is, because Badger's files are
	// mapped and a write to one that gets no block kills the process.
	floor = 48 << 20

	// floorFiles are the same for files: tables, memtables and segments of the journal.
	floorFiles = 32

	// ballastSize is what files hold back and give up when the disk is full, or has no
	// inodes, so that deletes can still make room.
	ballastSize      = 16 << 20
	ballastFiles     = 128
	ballastDirectory = "ballast"

	discardFile = "DISCARD"
	discardSize = 1 << 20 // Badger's

	// memtableRoom is what a memtable's log can have before the next one begins.
	memtableRoom = memTableSize + memTableSize/4
)

// space keeps Badger from a full disk.
type space struct {
	path    string
	fsys    disk.FS
	log     *slog.Logger
	reserve atomic.Int64

	mu      sync.Mutex
	ballast bool
	next    string // the log of the memtable to come, set aside
	told    waiting.Lasting
}

// forMore reports ErrNoSpace when an upload would begin within the reserve, or so many bytes
// would be written into it.
func (r *space) forMore(bytes int64) error {
	return r.check(r.reserve.Load()+bytes, directory.ReserveFiles)
}

// forChange reports ErrNoSpace when the disk is so full that not even a delete can
// be taken, after giving up the ballast.
func (r *space) forChange() error { return r.checkOrRelease(floor) }

// forOpening reports ErrNoSpace within the reserve: Badger writes when it opens. The
// ballast counts as room.
func (r *space) forOpening() error {
	r.find()
	return r.checkOrRelease(r.reserve.Load())
}

func (r *space) check(bytes int64, files uint64) error {
	return directory.Enough(r.fsys, r.path, uint64(bytes), files)
}

func (r *space) checkOrRelease(bytes int64) error {
	err := r.check(bytes, floorFiles)
	if errors.Is(err, store.ErrNoSpace) && r.release() {
		return r.check(bytes, floorFiles)
	}
	return err
}

// find looks whether there is a ballast from an earlier run.
func (r *space) find() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ballast = isThere(filepath.Join(r.path, ballastDirectory))
}

// release gives the ballast up and tells whether there was one.
func (r *space) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ballast {
		return false
	}
	r.ballast = false
	if err := r.removeBallast(); err != nil {
		r.log.Error("giving up the ballast", slog.Any("error", err))
		return false
	}
	r.log.Error("the disk is full; the ballast is given up so that deletes can make room",
		slog.String("path", r.path), slog.Int64("bytes", ballastSize), slog.Int("files", ballastFiles))
	return true
}

// keepBallast makes the ballast when there is room for it besides the reserve, and
// gives it up when another program has eaten the rest.
func (r *space) keepBallast() {
	free, err := r.fsys.Free(r.path)
	if err != nil {
		r.log.Warn("asking for free space", slog.Any("error", err))
		return
	}
	if free.Bytes < floor || free.Files < floorFiles {
		r.release()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ballast || free.Bytes < uint64(r.reserve.Load()+2*ballastSize) || free.Files < directory.ReserveFiles+2*ballastFiles {
		return
	}
	if err := r.makeBallast(); err != nil {
		r.log.Warn("making the ballast", slog.Any("error", err))
		return
	}
	r.ballast = true
}

func (r *space) makeBallast() (err error) {
	if err = r.fsys.MakeDirectory(filepath.Join(r.path, ballastDirectory)); err != nil {
		return fmt.Errorf("making directory: %w", err)
	}
	for i := 0; i < ballastFiles && err == nil; i++ {
		err = r.make(filepath.Join(ballastDirectory, strconv.Itoa(i)), ballastSize/ballastFiles)
	}
	if err != nil {
		return errors.Join(err, r.removeBallast())
	}
	return nil
}

func (r *space) removeBallast() error {
	if err := disk.RemoveAll(r.fsys, filepath.Join(r.path, ballastDirectory)); err != nil {
		return fmt.Errorf("removing the ballast: %w", err)
	}
	return nil
}

// makeDiscard makes Badger's statistics of value logs, of which it has none: when it
// cannot make them itself it ends the process (value.go calls y.Check).
func (r *space) makeDiscard() error {
	name := filepath.Join(r.path, discardFile)
	info, err := os.Stat(name)
	if err == nil && info.Size() > 0 {
		return nil
	}
	if err == nil {
		err = r.fsys.Remove(name) // Badger would size it
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for Badger's statistics: %w", err)
	}
	if err := r.make(discardFile, discardSize); err != nil {
		return fmt.Errorf("making Badger's statistics: %w", err)
	}
	return nil
}

// make makes a file of zeros that has its blocks.
func (r *space) make(name string, bytes int64) error {
	name = filepath.Join(r.path, name)
	file, err := r.fsys.Create(name)
	if err != nil {
		return fmt.Errorf("creating file: %w", err)
	}
	err = file.Allocate(0, bytes)
	if err == nil {
		err = file.Truncate(bytes) // shows how much it holds
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("reserving disk space: %w", err), r.fsys.Remove(name))
	}
	return nil
}

// setAside gives the mapped files of an open database their blocks, so that no
// write to them needs room, and makes the next memtable's log in advance: Badger
// takes an empty file for a new one, and keeps the blocks that it has.
func (r *space) setAside() error {
	for pattern, bytes := range map[string]int64{memtableLogs: memtableRoom, valueLogs: 2 * valueLogSize, discardFile: discardSize} {
		names, err := databaseFiles(r.path, pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			// A memtable may have been flushed, and its log be gone, meanwhile.
			if err := r.allocate(r.fsys.Append, name, bytes); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return r.makeNext()
}

func (r *space) allocate(open func(string) (disk.File, error), name string, bytes int64) error {
	file, err := open(name)
	if err != nil {
		return fmt.Errorf("opening mapped file: %w", err)
	}
	if err := errors.Join(file.Allocate(0, bytes), file.Close()); err != nil {
		return fmt.Errorf("reserving disk space: %w", err)
	}
	return nil
}

// makeNext makes the log that the next memtable will have.
func (r *space) makeNext() error {
	names, err := databaseFiles(r.path, memtableLogs)
	if err != nil {
		return err
	}
	last := 0
	for _, name := range names {
		var number int
		if _, err := fmt.Sscanf(filepath.Base(name), "%05d.mem", &number); err == nil {
			last = max(last, number)
		}
	}
	next := filepath.Join(r.path, fmt.Sprintf("%05d.mem", last+1))
	if err := r.allocate(r.fsys.Create, next, memtableRoom); err != nil {
		return errors.Join(err, r.fsys.Remove(next))
	}
	r.next = next
	return nil
}

// followMemtable makes the next log once Badger has taken the one that was made in
// advance. It is called after each transaction. Requires s.persister.
func (r *space) followMemtable() {
	if r.next != "" {
		if info, err := os.Stat(r.next); err == nil && info.Size() == 0 {
			return
		}
	}
	r.next = ""
	err := r.makeNext()
	if err == nil {
		r.told = waiting.Lasting{}
		return
	}
	if r.told.IsNews(err.Error()) {
		r.log.Warn("reserving disk space for the next memtable", slog.Any("error", err))
	}
}
