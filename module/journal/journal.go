package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// ErrUnclear: it is not known whether what was to be appended is on disk. The
// journal must be opened again (Reopen).
var ErrUnclear = errors.New("whether the journal has the change is unknown")

// DefaultSegmentSize is where a segment is sealed and the next one begun. Its
// blocks are set aside when it is made, so that an append needs no room.
const DefaultSegmentSize = 4 << 20

// Options of a journal. The zero value is what production uses, but for FS and Log.
type Options struct {
	FS  disk.FS
	Log *slog.Logger
	// SegmentSize in bytes. Zero means DefaultSegmentSize.
	SegmentSize int64
	// Inline has sealed segments compressed before Append returns, and not beside
	// it.
	Inline bool
}

// Journal is an open journal. Append and Close are for one goroutine; everything
// else may run concurrently with them.
type Journal struct {
	path    string
	store   string
	options Options

	mu       sync.Mutex
	position store.Position

	active segment
	file   disk.File // nil until Begin
	size   int64     // of the active segment's good part
	buffer []byte
	broken bool

	compressing sync.WaitGroup
	naming      sync.Mutex // held while a segment gets its name, until that is durable
}

// Store returns the ID of the metadata store whose journal it is.
func (j *Journal) Store() string { return j.store }

// Position returns the last change that is durable.
func (j *Journal) Position() store.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.position
}

// Create makes the journal of a new store in a directory that is not there yet, or
// has nothing but what a try left that failed.
func Create(path, id string, options Options) (*Journal, error) {
	if err := removeTry(path, options.FS); err != nil {
		return nil, err
	}
	if err := options.FS.MakeDirectory(path); err != nil {
		return nil, fmt.Errorf("making directory of journal: %w", err)
	}
	if err := options.FS.SyncDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("syncing directory of journal: %w", err)
	}
	j := &Journal{path: path, store: id, options: options}
	file, active, err := j.makeSegment(store.Position{}, nil)
	if err != nil {
		return nil, err
	}
	j.file, j.active, j.size = file, active, active.size
	return j, nil
}

// removeTry removes a directory without a change in it. It cannot be used on: the
// sync of its name may have failed.
func removeTry(path string, fsys disk.FS) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for a journal: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != disk.Temporary(segment{first: 1}.name()) {
			return fmt.Errorf("creating journal: %w: %s has %s", fs.ErrExist, path, name)
		}
		if err := fsys.Remove(filepath.Join(path, entry.Name())); err != nil {
			return fmt.Errorf("removing an unfinished segment: %w", err)
		}
	}
	if err := fsys.Remove(path); err != nil {
		return fmt.Errorf("removing a journal that was not begun: %w", err)
	}
	return nil
}

// Begin readies an opened journal for Append. It removes what a crash left behind the
// last good line, and compresses sealed segments that an earlier run left plain.
func (j *Journal) Begin() error {
	if j.active.size != j.size || j.size == j.active.header {
		// The name of a segment without a change may not be durable either.
		if err := j.Renew(); err != nil {
			return err
		}
	}
	if j.file == nil {
		if err := j.openActive(); err != nil {
			return err
		}
	}
	return j.finishSealed()
}

func (j *Journal) openActive() error {
	file, err := j.options.FS.Append(j.active.path(j.path))
	if err != nil {
		return fmt.Errorf("opening journal: %w", err)
	}
	if err := file.Allocate(0, j.segmentSize()); err != nil {
		return errors.Join(fmt.Errorf("reserving disk space for the journal: %w", err), file.Close())
	}
	j.file = file
	return nil
}

// Renew writes the good part of the last segment anew, durably. Before lines are
// built upon that no transaction followed, this must be done: the sync of the append
// that wrote them may have failed, and then a later one does not help, although they
// can be read.
func (j *Journal) Renew() error {
	if j.file != nil {
		return nil
	}
	if cut := j.active.size - j.size; cut > 0 {
		j.options.Log.Warn("cutting off what a crash left of a change that was never acknowledged",
			slog.Uint64("after", j.position.Sequence), slog.Int64("bytes", cut))
	}
	text, err := os.ReadFile(j.active.path(j.path))
	if err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	s, err := openSegment(j.path, j.store, j.active)
	if err != nil {
		return err
	}
	before := s.position
	if err := s.Close(); err != nil {
		return fmt.Errorf("closing journal: %w", err)
	}
	file, active, err := j.makeSegment(before, text[j.active.header:j.size])
	if err != nil {
		return fmt.Errorf("renewing the last segment of the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.file, j.active, j.size = file, active, active.size
	return nil
}

func (j *Journal) segmentSize() int64 {
	if j.options.SegmentSize > 0 {
		return j.options.SegmentSize
	}
	return DefaultSegmentSize
}

// Append numbers the changes and makes them durable, all or none, and returns the
// position after them. After ErrUnclear nobody knows which; after any other error
// none of them is in the journal, and it can be used on.
func (j *Journal) Append(changes []store.Change) (store.Position, error) {
	position := j.Position()
	synced := position.Sequence
	lines := j.buffer[:0]
	for _, change := range changes {
		position.Sequence++
		change.Sequence, change.Synced = position.Sequence, synced
		var err error
		if lines, position.Chain, err = AppendLine(lines, position.Chain, change); err != nil {
			return store.Position{}, fmt.Errorf("encoding change: %w", err)
		}
	}
	j.buffer = lines[:0]
	if err := j.write(lines, position); err != nil {
		return store.Position{}, err
	}
	return position, nil
}

// write makes whole lines durable, which lead to a position.
func (j *Journal) write(lines []byte, position store.Position) error {
	if j.broken {
		return ErrUnclear
	}
	if j.size > j.active.header && j.size+int64(len(lines)) > j.segmentSize() {
		if err := j.rotate(); err != nil {
			return fmt.Errorf("beginning the next segment of the journal: %w", err)
		}
	}
	if _, err := j.file.Write(lines); err != nil {
		// What was written is not synced, and is cut off again.
		if cutErr := j.file.Truncate(j.size); cutErr != nil {
			j.broken = true
			return fmt.Errorf("%w: writing: %w, cutting: %w", ErrUnclear, err, cutErr)
		}
		return fmt.Errorf("writing to the journal: %w", err)
	}
	if err := j.file.Sync(); err != nil {
		j.broken = true
		return fmt.Errorf("%w: syncing: %w", ErrUnclear, err)
	}
	j.size += int64(len(lines))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.position = position
	return nil
}

// rotate seals the active segment and begins the next one.
func (j *Journal) rotate() error {
	file, next, err := j.makeSegment(j.Position(), nil)
	if err != nil {
		return err
	}
	sealed := j.active
	sealed.last = next.first - 1
	// All of it is synced; what closing says changes nothing.
	if err := j.file.Close(); err != nil {
		j.options.Log.Warn("closing a sealed segment of the journal", slog.Any("error", err))
	}
	j.mu.Lock()
	j.active = next
	j.mu.Unlock()
	j.file, j.size = file, next.header
	j.compress(sealed)
	return nil
}

// Seal ends the active segment, if it has a change, and begins the next one. It is for the
// goroutine of Append.
func (j *Journal) Seal() error {
	if j.broken || j.size == j.active.header {
		return nil
	}
	return j.rotate()
}

// Close ends what runs beside and closes the file. What was appended is durable
// already.
func (j *Journal) Close() error {
	j.compressing.Wait()
	if j.file == nil {
		return nil
	}
	if err := j.file.Close(); err != nil {
		j.options.Log.Warn("closing the journal", slog.Any("error", err)) // all of it is synced
	}
	j.file, j.broken = nil, true
	return nil
}
