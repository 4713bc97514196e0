package badger

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// markFile says of which manifest it is known that no record is lost, so that a store
// opens without comparing them all. It need not be durable, nor written in one step:
// one that is old, torn or damaged is of no manifest that there is.
const markFile = "checked"

// markRecord is a manifest: its size and its SHA-256.
type markRecord struct {
	size uint64
	sum  store.Digest
}

func (r *markRecord) Fields(f *coding.Fields) {
	f.Number(&r.size)
	f.Digest(&r.sum)
}

var markKey = []byte(markFile)

// mark keeps that all is accounted for, if it is and that is news.
func (l *ledger) mark() error {
	now, isNews, err := l.news()
	if err != nil || !isNews {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.path, markFile), coding.Encode(markKey, &now), 0o600); err != nil {
		return fmt.Errorf("writing mark: %w", err)
	}
	l.marked = now
	return nil
}

// news is the manifest, and whether it should be marked.
func (l *ledger) news() (now markRecord, isNews bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	balanced, _, err := l.settle()
	now = l.statement()
	return now, balanced && now != l.marked, err
}

// statement is the manifest as far as it was read. Requires l.mu, or that nobody else
// has the ledger.
func (l *ledger) statement() (s markRecord) {
	s.size = uint64(l.offset)
	l.sum.Sum(s.sum[:0])
	return s
}

// isMarked tells whether it is known of a database that is not open yet that no
// record of its tables is lost, and whether none can be lost besides: when what else
// there is lies in one memtable's log, which can lose nothing but its end. A mark that
// cannot be read says nothing.
func (l *ledger) isMarked() (bool, error) {
	written, err := os.ReadFile(filepath.Join(l.path, markFile))
	if err != nil || coding.Decode(markKey, written, &l.marked) != nil {
		return false, nil
	}
	logs, err := memtableLogs(l.path)
	return l.marked == l.statement() && len(logs) <= 1, err
}
