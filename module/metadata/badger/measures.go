package badger

import (
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Measures implements store.Measured.
func (s *Store) Measures() store.Measures {
	measures := store.Measures{
		Batches: s.batches.Times(), Checkpoint: s.checkpointed.Load(),
		Bytes: disk.Usage(s.path()), JournalBytes: disk.Usage(s.journalPath()),
	}
	j, err := s.journalNow()
	if err != nil {
		return measures
	}
	if all, err := j.Checkpoints(); err == nil && len(all) > 0 {
		measures.Checkpoint = all[0].Sequence
		if info, err := os.Stat(filepath.Join(s.journalPath(), all[0].Name())); err == nil {
			measures.Checkpointed = info.ModTime()
		}
	}
	return measures
}

var _ store.Measured = (*Store)(nil)
