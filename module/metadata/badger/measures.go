package badger

import "github.com/generic-registry/caddy-generic-registry/module/store"

// Measures implements store.Measured.
func (s *Store) Measures() store.Measures {
	return store.Measures{Batches: s.batches.Times(), Checkpoint: s.checkpointed.Load()}
}

var _ store.Measured = (*Store)(nil)
