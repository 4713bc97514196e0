// Package compactions finds out whether Badger's compactions did what they were meant to.
// Badger 4.9.6 deletes the tables that a compaction was made of even if it could not
// create one of the new tables, and says nothing about it. When a compaction fails in
// another way, its memory is no longer that of the manifest.
package compactions

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Ledger compares the tables that Badger's compactions announced with those in its
// manifest. Badger logs each table before it makes it, and writes the manifest once the
// tables of a compaction are made. While no compaction runs, a difference may be a table
// that was lost.
//
// Badger promises neither. A table that was not logged, or a manifest that cannot be
// followed, is a difference too.
//
// Everything but Begin and WriteChecked may run concurrently.
type Ledger struct {
	path    string                // of the database
	failure atomic.Pointer[error] // of the first compaction that failed

	mu      sync.Mutex
	planned int64         // tables that compactions were about to make
	running map[any]int64 // those of compactions in progress, by their compactors

	info   fs.FileInfo // nil before there is a manifest
	offset int64       // how far it was read
	sum    hash.Hash   // of what was read
	made   int64       // tables of compactions, by the manifest
	ended  int64       // compactions, by the manifest

	settled  int64 // of those that ended, the first so many are accounted for
	accepted int64 // the difference when the records were last compared: no loss
	unknown  bool  // only comparing them tells whether any is lost

	checked checkedRecord // what the file checked says; for one goroutine at a time
}

// What Badger logs for each table before a compaction makes it (compactor, records in the
// table, records left out, time), when a compaction is over, with its tables in the manifest
// (compactor, level), and when one failed (compactor, error, what it was of). A compactor has
// one compaction at a time, whose parts have its number.
const (
	tableMessage  = "[%d] LOG Compact. Added %d keys. Skipped %d keys. Iteration took: %v"
	doneMessage   = "[Compactor: %d] Compaction for level: %d DONE"
	failedMessage = "[Compactor: %d] LOG Compact FAILED with error: %+v: %+v"
)

// New is the ledger of the database in a directory, which is not open yet.
func New(path string) *Ledger {
	return &Ledger{path: path, sum: sha256.New(), running: make(map[any]int64)}
}

// Begin reads the manifest of a database that is not open yet, if there is one, and
// what is known of it. Logs is how many memtables are in logs.
func (l *Ledger) Begin(logs int) error {
	if err := l.read(); err != nil {
		return err
	}
	l.made, l.settled = 0, l.ended
	l.unknown = !l.wasChecked(logs)
	return nil
}

// Hear takes a message of Badger's log.
func (l *Ledger) Hear(format string, args []any) {
	if len(args) < 2 {
		return
	}
	switch format {
	case tableMessage:
		if records, ok := args[1].(uint64); ok && records > 0 {
			l.plan(args[0])
		}
	case doneMessage:
		l.end(args[0])
	case failedMessage:
		l.end(args[0])
		failure := fmt.Errorf("a compaction failed: %v", args[1])
		l.failure.CompareAndSwap(nil, &failure)
	}
}

func (l *Ledger) plan(compactor any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.planned++
	l.running[compactor]++
}

func (l *Ledger) end(compactor any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, compactor)
}

// Failure is why a compaction failed, nil when none did. Badger goes on after it, with
// tables in its memory that are not in its manifest: it merges those with no others any
// more, and so older records in them show again once newer ones are dropped. Opening the
// database again mends that.
func (l *Ledger) Failure() error {
	if failure := l.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Count is what was counted at one moment.
type Count struct {
	planned int64 // tables that compactions were about to make
	lacking int64 // those that compactions which are over have not made
	ended   int64 // compactions that are over, at least: the manifest may have those in progress too
}

// Accounted tells whether every compaction that ended is accounted for, and where the
// count stands: it moves while one is in progress. Badger's messages wait meanwhile, so that
// there are never more tables made than planned.
func (l *Ledger) Accounted() (all bool, at Count, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account()
}

// account is Accounted. Requires l.mu.
func (l *Ledger) account() (all bool, at Count, err error) {
	if err := l.read(); err != nil {
		return false, at, err
	}
	if l.planned-l.made == l.accepted {
		l.settled = l.ended
	}
	at = Count{planned: l.planned, lacking: l.planned - l.made, ended: l.ended - int64(len(l.running))}
	for _, tables := range l.running {
		at.lacking -= tables // what becomes of them is not known yet
	}
	return l.settled == l.ended && !l.unknown, at, nil
}

// Accept says that nothing was lost when the count stood there.
func (l *Ledger) Accept(at Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted, l.settled, l.unknown = at.lacking, max(l.settled, at.ended), false
}

// Doubt says that there is evidence of a loss: only comparing all records tells, now and
// after the next start too.
func (l *Ledger) Doubt() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unknown = true
	if err := os.Remove(filepath.Join(l.path, CheckedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing file %s: %w", CheckedFile, err)
	}
	return nil
}

// IsWorthWaiting tells whether a compaction in progress may yet even the count.
func (l *Ledger) IsWorthWaiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.unknown
}
