package badger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// ledger compares the tables that Badger's compactions announced with those in its
// manifest. Badger logs each table before it makes it, and writes the manifest once the
// tables of a compaction are made. While no compaction runs, a difference may be a table
// that was lost.
//
// Badger promises neither. A table that was not logged, or a manifest that cannot be
// followed, is a difference too.
type ledger struct {
	path    string       // of the database
	planned atomic.Int64 // tables that compactions were about to make

	mu     sync.Mutex
	info   fs.FileInfo // nil before there is a manifest
	offset int64       // how far it was read
	sum    hash.Hash   // of what was read
	made   int64       // tables of compactions, by the manifest

	open     bool  // a compaction ended and is not accounted for
	accepted int64 // the difference when the records were last compared: no loss
	unknown  bool  // only comparing them tells whether any is lost

	checked checkedRecord // what the file checked says; for one goroutine at a time
}

// compactionMessage is what Badger logs for each table before a compaction makes it:
// compactor, records in the table, records left out, time.
const compactionMessage = "[%d] LOG Compact. Added %d keys. Skipped %d keys. Iteration took: %v"

func newLedger(path string) *ledger { return &ledger{path: path, sum: sha256.New()} }

// begin reads the manifest of a database that is not open yet, if there is one, and
// what is known of it.
func (l *ledger) begin() error {
	if err := l.read(); err != nil {
		return err
	}
	l.made, l.open = 0, false
	known, err := l.wasChecked()
	l.unknown = !known
	return err
}

// hear takes a message of Badger's log.
func (l *ledger) hear(format string, args []any) {
	if format != compactionMessage || len(args) < 2 {
		return
	}
	if records, ok := args[1].(uint64); ok && records > 0 {
		l.planned.Add(1)
	}
}

// accounted tells whether every compaction that ended is accounted for, and where the
// count stands: it moves while one is in progress. The manifest is read before the
// tables planned are counted, so that there are never more made.
func (l *ledger) accounted() (all bool, at [2]int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account()
}

// account is accounted. Requires l.mu.
func (l *ledger) account() (all bool, at [2]int64, err error) {
	if err := l.read(); err != nil {
		return false, at, err
	}
	planned := l.planned.Load()
	if planned-l.made == l.accepted {
		l.open = false
	}
	return !l.open && !l.unknown, [2]int64{planned, l.made}, nil
}

// accept says that nothing was lost when the count stood there.
func (l *ledger) accept(at [2]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted = at[0] - at[1]
	l.open, l.unknown = false, false
}

// isWorthWaiting tells whether a compaction in progress may yet even the count.
func (l *ledger) isWorthWaiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.unknown
}

// read follows the manifest. Requires l.mu, or that nobody else has the ledger.
func (l *ledger) read() error {
	name := filepath.Join(l.path, badger.ManifestFilename)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for manifest: %w", err)
	}
	if l.info != nil && os.SameFile(l.info, info) && info.Size() == l.offset {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening manifest: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return fmt.Errorf("asking for manifest: %w", err)
	}
	if l.info != nil && (!os.SameFile(l.info, info) || info.Size() < l.offset) {
		// Written anew, shorter: what happened between is not in it.
		l.offset, l.unknown = 0, true
		l.sum.Reset()
	}
	l.info = info
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	return l.follow(bufio.NewReader(file))
}

// follow reads sets of changes up to one that is not whole yet: Badger writes it just
// now.
func (l *ledger) follow(manifest *bufio.Reader) error {
	const magicSize = 8
	if l.offset == 0 {
		magic := make([]byte, magicSize)
		if _, err := io.ReadFull(manifest, magic); err != nil {
			return nil
		}
		l.pass(magic)
	}
	for {
		set, changes, err := readChanges(manifest)
		if err != nil || set == nil {
			return err
		}
		l.pass(set)
		l.enter(changes)
	}
}

func (l *ledger) pass(read []byte) {
	l.offset += int64(len(read))
	l.sum.Write(read)
}

// enter counts the tables of one set of changes. A memtable that was written makes a
// table and deletes none.
func (l *ledger) enter(changes []*pb.ManifestChange) {
	var created int64
	compaction := false
	for _, change := range changes {
		switch change.Op {
		case pb.ManifestChange_CREATE:
			created++
		case pb.ManifestChange_DELETE:
			compaction = true
		}
	}
	if compaction {
		l.made += created
		l.open = true
	}
}

// readChanges returns the next set of changes of a manifest, with its bytes; nil when
// there is none that is whole.
func readChanges(manifest io.Reader) (set []byte, changes []*pb.ManifestChange, err error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, manifest, 8); err != nil {
		return nil, nil, ignoreEnd(err)
	}
	length, sum := binary.BigEndian.Uint32(head.Bytes()), binary.BigEndian.Uint32(head.Bytes()[4:])
	if _, err := io.CopyN(&head, manifest, int64(length)); err != nil {
		return nil, nil, ignoreEnd(err)
	}
	body := head.Bytes()[8:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, nil, nil
	}
	var read pb.ManifestChangeSet
	if err := proto.Unmarshal(body, &read); err != nil {
		return nil, nil, fmt.Errorf("reading manifest: %w", err)
	}
	return head.Bytes(), read.Changes, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("reading manifest: %w", err)
}
