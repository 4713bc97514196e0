package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// markFile says of which manifest it is known that no record is lost, so that a store
// opens without comparing them all. It need not be durable, nor written in one step:
// one that is old, torn or damaged is of no manifest that there is.
const markFile = "checked"

// markRecord is a manifest: its size and its SHA-256.
type markRecord struct {
	size uint64
	sum  registry.Digest
}

func (r *markRecord) fields(f *fields) {
	f.number(&r.size)
	f.digest(&r.sum)
}

var markKey = []byte(markFile)

// mark keeps that all is accounted for, if it is and that is news.
func (l *ledger) mark() error {
	balanced, _, err := l.balance()
	if err != nil || !balanced {
		return err
	}
	now, ok := l.state()
	if !ok || now == l.marked {
		return nil
	}
	if err := os.WriteFile(filepath.Join(l.path, markFile), encode(markKey, &now), 0o600); err != nil {
		return fmt.Errorf("writing mark: %w", err)
	}
	l.marked = now
	return nil
}

// state is the manifest as far as it was read; ok when all is accounted for.
func (l *ledger) state() (now markRecord, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.size = uint64(l.offset)
	l.sum.Sum(now.sum[:0])
	return now, !l.open && !l.unknown
}

// isMarked tells whether it is known of a database that is not open yet that no
// record of its tables is lost, and whether none can be lost besides: when what else
// there is lies in one memtable's log, which can lose nothing but its end.
func (l *ledger) isMarked() (bool, error) {
	written, err := os.ReadFile(filepath.Join(l.path, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading mark: %w", err)
	}
	if decode(markKey, written, &l.marked) != nil {
		return false, nil
	}
	logs, err := memtableLogs(l.path)
	if err != nil {
		return false, err
	}
	now, _ := l.state()
	return l.marked == now && len(logs) <= 1, nil
}
