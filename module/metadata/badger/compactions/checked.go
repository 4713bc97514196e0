package compactions

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// CheckedFile says of which manifest it is known that no record is lost, so that a store
// opens without comparing them all. It need not be durable, nor written in one step:
// one that is old, torn or damaged is of no manifest that there is.
const CheckedFile = "checked"

// checkedRecord is a manifest: its size and its SHA-256.
type checkedRecord struct {
	size uint64
	sum  store.Digest
}

func (r *checkedRecord) Fields(f *coding.Fields) {
	f.Number(&r.size)
	f.Digest(&r.sum)
}

var checkedKey = []byte(CheckedFile)

// WriteChecked keeps that all is accounted for, if it is and that is news.
func (l *Ledger) WriteChecked() error {
	now, isNews, err := l.news()
	if err != nil || !isNews {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.path, CheckedFile), coding.Encode(checkedKey, &now), 0o600); err != nil {
		return fmt.Errorf("writing file %s: %w", CheckedFile, err)
	}
	l.checked = now
	return nil
}

// news is the manifest, and whether that is to be kept.
func (l *Ledger) news() (now checkedRecord, isNews bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, _, err := l.account()
	now = l.statement()
	return now, all && now != l.checked, err
}

// statement is the manifest as far as it was read. Requires l.mu, or that nobody else
// has the ledger.
func (l *Ledger) statement() (s checkedRecord) {
	s.size = uint64(l.offset)
	l.sum.Sum(s.sum[:0])
	return s
}

// wasChecked tells whether it is known of a database that is not open yet that no
// record of its tables is lost, and whether none can be lost besides: when what else
// there is lies in one memtable's log, which can lose nothing but its end. A file
// that cannot be read says nothing.
func (l *Ledger) wasChecked(logs int) bool {
	written, err := os.ReadFile(filepath.Join(l.path, CheckedFile))
	if err != nil || coding.Decode(checkedKey, written, &l.checked) != nil {
		return false
	}
	return l.checked == l.statement() && logs <= 1
}
