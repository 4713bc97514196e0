package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
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
	// Room returns an error where so many bytes may not be written at once. Nil asks for none.
	Room func(bytes int64) error
	// Carrier may make lines durable in the place of the journal. Nil means there is none.
	Carrier Carrier
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
	size   int64     // of the active segment's good part: filler may follow
	synced uint64    // the last change that needs no carrier
	tail   []byte    // lines of the carrier that are not in the active segment yet
	buffer []byte
	broken bool

	compressing sync.WaitGroup
	naming      sync.Mutex // held while a segment gets its name, until that is durable
}

// Store returns the ID of the metadata store whose journal it is.
func (j *Journal) Store() string { return j.store }

// Position returns the last change that is durable, here or in the carrier.
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
	if _, err := j.carried(); err != nil { // from now on bytes wait for it; lines of an earlier one are not its own
		return nil, err
	}
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
		if name := entry.Name(); name != disk.Temporary(files.Segment{First: 1}.Name()) {
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

// Begin readies an opened journal for Append. It writes the last segment anew, without
// what a crash left behind the last good line, and compresses sealed segments that an
// earlier run left plain.
func (j *Journal) Begin() error {
	if err := j.Renew(); err != nil {
		return err
	}
	return j.finishSealed()
}

// Renew writes the good part of the last segment anew, durably. It comes before anything
// relies on lines that the database may not have: the sync of the append that wrote them
// may have failed. Such lines can be read, and a later sync does not make them durable.
func (j *Journal) Renew() error {
	if j.file != nil {
		return nil
	}
	text, err := os.ReadFile(j.active.Path(j.path))
	if err != nil {
		return fmt.Errorf("reading journal: %w", err)
	}
	if cut := bytes.TrimRight(text[j.size:], filler); len(cut) > 0 {
		j.options.Log.Warn("cutting off what a crash left of a change that was never acknowledged",
			slog.Uint64("after", j.position.Sequence), slog.Int("bytes", len(cut)))
	}
	s, err := openSegment(j.path, j.store, j.active.Segment)
	if err != nil {
		return err
	}
	before := s.position
	if err := s.Close(); err != nil {
		return fmt.Errorf("closing journal: %w", err)
	}
	file, active, err := j.makeSegment(before, append(text[j.active.header:j.size:j.size], j.tail...))
	if err != nil {
		return fmt.Errorf("renewing the last segment of the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.file, j.active, j.size, j.synced, j.tail = file, active, active.size, j.position.Sequence, nil
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
	lines, named := j.buffer[:0], []store.Locator(nil)
	for _, change := range changes {
		position.Sequence++
		change.Sequence, change.Synced = position.Sequence, j.synced
		if change.Locator != "" {
			named = append(named, change.Locator)
		}
		var err error
		if lines, position.Chain, err = jsonl.AppendLine(lines, position.Chain, change); err != nil {
			return store.Position{}, fmt.Errorf("encoding change: %w", err)
		}
	}
	j.buffer = lines[:0]
	if err := j.write(lines, named, position); err != nil {
		return store.Position{}, err
	}
	return position, nil
}

// write makes whole lines durable, which lead to a position.
func (j *Journal) write(lines []byte, named []store.Locator, position store.Position) error {
	if j.broken {
		return ErrUnclear
	}
	if j.size > j.active.header && j.size+int64(len(lines)) > j.segmentSize() {
		if err := j.rotate(); err != nil {
			return fmt.Errorf("beginning the next segment of the journal: %w", err)
		}
	}
	carried, err := j.carry(lines, named)
	if err != nil {
		return err
	}
	end := j.size + int64(len(lines))
	lines = j.fill(lines)
	if _, err := j.file.WriteAt(lines, j.size); err != nil {
		// What was written is not synced, and is cut off again.
		cutErr := j.file.Truncate(j.size)
		if carried || cutErr != nil {
			j.broken = true
			return fmt.Errorf("%w: writing: %w", ErrUnclear, errors.Join(err, cutErr))
		}
		j.active.size = j.size
		return fmt.Errorf("writing to the journal: %w", err)
	}
	j.active.size = max(j.active.size, j.size+int64(len(lines)))
	if !carried {
		if err := j.sync(position); err != nil {
			return err
		}
	}
	j.size = end
	j.mu.Lock()
	defer j.mu.Unlock()
	j.position = position
	return nil
}

// sync makes the lines durable that were written, up to a position.
func (j *Journal) sync(position store.Position) error {
	if j.synced == position.Sequence {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		j.broken = true
		return fmt.Errorf("%w: syncing: %w", ErrUnclear, err)
	}
	j.synced = position.Sequence
	return nil
}

const (
	// filler is written ahead of lines. A sync of lines that are written over it changes
	// nothing that the file system keeps of the file, and takes half the time. JSON has no
	// tabs but between values, where they mean nothing.
	filler     = "\t"
	fillerStep = 64 << 10
)

// fill adds filler to lines that go beyond it.
func (j *Journal) fill(lines []byte) []byte {
	end := j.size + int64(len(lines))
	if ahead := min(end+fillerStep, j.segmentSize()) - end; end > j.active.size && ahead > 0 {
		lines = append(lines, strings.Repeat(filler, int(ahead))...)
	}
	return lines
}

// rotate seals the active segment and begins the next one.
func (j *Journal) rotate() error {
	if err := j.sync(j.Position()); err != nil {
		return err
	}
	file, next, err := j.makeSegment(j.Position(), nil)
	if err != nil {
		return err
	}
	sealed := j.active.Segment
	sealed.Last = next.First - 1
	// All of it is synced; what closing says changes nothing.
	if err := j.file.Close(); err != nil {
		j.options.Log.Warn("closing a sealed segment of the journal", slog.Any("error", err))
	}
	j.mu.Lock()
	j.active = next
	j.mu.Unlock()
	j.file, j.size = file, next.header
	if next.First > sealed.First {
		j.compress(sealed)
	}
	return nil
}

// Seal ends the active segment and begins the next one, which replaces one without a
// change. It is for the goroutine of Append.
func (j *Journal) Seal() error {
	if j.broken || j.file == nil {
		return ErrUnclear
	}
	return j.rotate()
}

// IsActive tells whether the journal is written to a file.
func (j *Journal) IsActive(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return name == j.active.Name()
}

// Close ends what runs beside and closes the file, without its filler. What was appended
// is durable already, here or in the carrier.
func (j *Journal) Close() error {
	j.compressing.Wait()
	if j.file == nil {
		return nil
	}
	var err error
	if !j.broken {
		if j.active.size > j.size {
			err = j.file.Truncate(j.size)
		}
		err = errors.Join(err, j.sync(j.position))
	}
	if err = errors.Join(err, j.file.Close()); err != nil {
		j.options.Log.Warn("closing the journal", slog.Any("error", err)) // all of it is durable
	}
	j.file, j.broken = nil, true
	return nil
}
