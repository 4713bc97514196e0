package badger

import (
	"errors"
	"sync"
)

// backlogSize bounds how many keys of a kind are in memory at once.
const backlogSize = 10_000

// backlog is what waits for the reaper: records of one prefix, each under a key. It
// has the newest in memory, so that a reaper that keeps up reads nothing. When there
// are too many it reads them from the database, a page at a time. All methods may run
// concurrently, but for next.
type backlog struct {
	prefix string

	mu     sync.Mutex
	known  map[string]struct{} // suffixes of keys
	beyond bool                // the database may have more than are known
	from   []byte              // where the next page begins; nil is the first
}

// reset forgets what is known: all is in a database that was just opened.
func (b *backlog) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known, b.beyond, b.from = make(map[string]struct{}), true, nil
}

// add says that the database has another record.
func (b *backlog) add(suffix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= backlogSize {
		b.beyond = true
		return
	}
	b.known[suffix] = struct{}{}
}

// remove says that the database has the record no more, or that nobody can do anything
// about it.
func (b *backlog) remove(suffix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, suffix)
}

// next returns at most limit suffixes that wait, in no order.
func (b *backlog) next(limit int, view func(func(reader) error) error) ([]string, error) {
	for {
		if suffixes, all := b.take(limit); len(suffixes) > 0 || all {
			return suffixes, nil
		}
		if err := view(b.fill); err != nil {
			return nil, err
		}
	}
}

// take returns what is known, and whether that is all there is.
func (b *backlog) take(limit int) (suffixes []string, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for suffix := range b.known {
		if len(suffixes) == limit {
			break
		}
		suffixes = append(suffixes, suffix)
	}
	return suffixes, !b.beyond
}

// fill reads the next page of what the database has for certain: nobody deletes bytes
// before.
func (b *backlog) fill(r reader) error {
	b.mu.Lock()
	from := b.from
	b.beyond = false // what is added from now on says so again
	b.mu.Unlock()
	stored, count := reader{db: r.db, txn: r.txn}, 0
	var last []byte
	err := stored.scan([]byte(b.prefix), from, func(key, _ []byte) error {
		if count == backlogSize {
			return errEnough
		}
		count++
		last = append(last[:0], key...)
		b.add(string(key[len(b.prefix):]))
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, errEnough):
		b.beyond, b.from = true, append(last, 0)
		return nil
	case err != nil:
		b.beyond = true
		return err
	}
	// A page that did not begin at the first record leaves those before it.
	b.beyond = b.beyond || from != nil
	b.from = nil
	return nil
}
