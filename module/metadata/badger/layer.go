package badger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
)

// layer is what one commit writes. Once it is committed nobody changes it.
type layer struct {
	records map[string][]byte // values by key, nil for a record that is deleted
	size    int               // about what they take in a memtable, in bytes

	packages []names.Change // what it changes of which packages there are

	// Keys of what waits for the reaper, and of what does no more, once the database
	// has the records.
	waiting, done []string
}

// recordOverhead is what a record takes in a memtable besides its key and its value.
const recordOverhead = 100

func newLayer() *layer { return &layer{records: make(map[string][]byte)} }

func (l *layer) put(key []byte, record coding.Record) { l.write(key, coding.Encode(key, record)) }

func (l *layer) delete(key []byte) { l.write(key, nil) }

func (l *layer) write(key, value []byte) {
	l.records[string(key)] = value
	l.size += len(key) + len(value) + recordOverhead
}

// await leaves what a record is of to the reaper.
func (l *layer) await(key []byte, record coding.Record) {
	l.waiting = append(l.waiting, string(key))
	l.put(key, record)
}

// bury says that the reaper has done what a record is of.
func (l *layer) bury(key []byte) {
	l.done = append(l.done, string(key))
	l.delete(key)
}

// writeTo has a transaction write the records.
func (l *layer) writeTo(txn *badger.Txn) error {
	for key, value := range l.records {
		var err error
		if value == nil {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.Set([]byte(key), value)
		}
		if err != nil {
			return fmt.Errorf("writing a record of %d and %d bytes: %w", len(key), len(value), err)
		}
	}
	return nil
}

// reader reads what was committed at one moment: what Badger has, and over it the
// layers that it does not have yet, the newest last. It may be used concurrently.
type reader struct {
	db    *database
	txn   *badger.Txn // nil when the database had failed
	ahead []*layer
	seen  uint64 // the number of the last commit
}

// get reads the record under a key. One that is not there is not an error.
// ErrUnavailable when Badger has to be asked and failed, ErrDamaged for a record that
// is not what was written.
func (r reader) get(key []byte, record coding.Record) (found bool, err error) {
	for _, l := range slices.Backward(r.ahead) {
		if value, ok := l.records[string(key)]; ok {
			if value == nil {
				return false, nil
			}
			return true, coding.Decode(key, value, record)
		}
	}
	var damage error
	err = r.db.touch(func() error {
		item, err := r.txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		found = true
		return item.Value(func(value []byte) error {
			damage = coding.Decode(key, value, record)
			return nil
		})
	})
	return found, errors.Join(err, damage)
}

// scan calls fn for each record whose key has the prefix, in order, from a key on
// (nil for the first), until fn returns an error, which scan returns. Key and value are
// valid during the call. Its other errors are those of get.
func (r reader) scan(prefix, from []byte, fn func(key, value []byte) error) error {
	if from == nil {
		from = prefix
	}
	over := r.over(prefix, from)
	var ended error
	err := r.db.touch(func() (err error) {
		over, ended, err = r.scanOver(over, prefix, from, fn)
		return err
	})
	if err = cmp.Or(ended, err); err != nil {
		return err
	}
	for _, record := range over {
		if err := record.tell(fn); err != nil {
			return err
		}
	}
	return nil
}

// scanOver scans what Badger has, under the records of the layers. It returns those that come after, what
// fn ended it with, and what Badger says.
func (r reader) scanOver(over []written, prefix, from []byte, fn func(key, value []byte) error) (rest []written, ended, err error) {
	options := badger.DefaultIteratorOptions
	options.Prefix = prefix
	options.PrefetchValues = false // they lie beside the keys; a goroutine each costs more
	iterator := r.txn.NewIterator(options)
	defer iterator.Close()
	for iterator.Seek(from); iterator.Valid(); iterator.Next() {
		item := iterator.Item()
		var covered bool
		if over, covered, ended = passOver(over, item.Key(), fn); ended != nil {
			return nil, ended, nil
		}
		if covered {
			continue
		}
		err := item.Value(func(value []byte) error {
			ended = fn(item.Key(), value)
			return nil
		})
		if ended != nil || err != nil {
			return nil, ended, err
		}
	}
	return over, nil, nil
}

// written is a record of a layer; one that is deleted has no value.
type written struct{ key, value []byte }

func (w written) tell(fn func(key, value []byte) error) error {
	if w.value == nil {
		return nil
	}
	return fn(w.key, w.value)
}

// over returns what the layers have of a prefix, from a key on, in order.
func (r reader) over(prefix, from []byte) (records []written) {
	newest := make(map[string]struct{})
	for _, l := range slices.Backward(r.ahead) {
		for key, value := range l.records {
			if _, covered := newest[key]; covered || key < string(from) || !bytes.HasPrefix([]byte(key), prefix) {
				continue
			}
			newest[key] = struct{}{}
			records = append(records, written{[]byte(key), value})
		}
	}
	slices.SortFunc(records, func(a, b written) int { return bytes.Compare(a.key, b.key) })
	return records
}

// passOver calls fn for the records before a key, and for that of the key itself,
// which covers what lies below. It returns those that come after.
func passOver(over []written, key []byte, fn func(key, value []byte) error) (rest []written, covered bool, err error) {
	for len(over) > 0 && !covered {
		order := bytes.Compare(over[0].key, key)
		if order > 0 {
			break
		}
		if err := over[0].tell(fn); err != nil {
			return over, false, err
		}
		over, covered = over[1:], order == 0
	}
	return over, covered, nil
}
