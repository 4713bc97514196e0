package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// get reads the record under a key. One that is not there is not an error.
func get(txn *badger.Txn, key []byte, record codec) (found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading record %q: %w", key, err)
	}
	return true, item.Value(func(value []byte) error { return decode(key, value, record) })
}

// view runs a read, unless the store is closed. What it did not find was not there.
func (s *Store) view(ctx context.Context, read func(txn *badger.Txn) error) error {
	return s.read(ctx, read, false)
}

// find is view for a read that has found what it wanted when it returns nil.
func (s *Store) find(ctx context.Context, read func(txn *badger.Txn) error) error {
	return s.read(ctx, read, true)
}

func (s *Store) read(ctx context.Context, read func(txn *badger.Txn) error, finds bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.opened == nil {
		return s.unavailable()
	}
	err := s.opened.db.view(read)
	if err == nil && finds {
		return nil
	}
	if lost := s.trust(); lost != nil {
		return lost
	}
	return err
}
