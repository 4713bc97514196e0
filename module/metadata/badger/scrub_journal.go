package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// ScrubJournal implements store.JournalScrubber. The database repairs a journal: a
// checkpoint of what it has stands for the changes in a file that is not what was
// written.
func (s *Store) ScrubJournal(ctx context.Context, spend func(bytes int) error) error {
	o, err := s.current()
	if err != nil {
		return err
	}
	attend := func() func() { return waiting.Attend(s.log, "reading the journal") }
	end := attend()
	damaged, err := findDamage(ctx, o.journal, func(bytes int) error {
		end()
		defer func() { end = attend() }()
		return spend(bytes)
	})
	end()
	if err != nil {
		return err
	}
	if err = o.journal.CheckWhole(); err != nil && !errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("looking whether the journal is whole: %w", err) // the disk refuses
	}
	for _, damage := range damaged {
		err = errors.Join(err, damage.Err)
	}
	s.rot.Store(&rot{err})
	if err == nil {
		return nil
	}
	s.log.Error("the journal is damaged; the database is told to it anew", slog.Any("error", err))
	if err := s.repairJournal(ctx, o.journal, damaged); err != nil {
		return fmt.Errorf("repairing the journal: %w", err)
	}
	s.rot.Store(&rot{})
	return nil
}

// rot is what is wrong with the journal beside what the store writes to it.
type rot struct{ err error }

func findDamage(ctx context.Context, j *journal.Journal, spend func(bytes int) error) (found []journal.Damage, err error) {
	files, err := j.Files()
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		damage, err := j.Verify(ctx, name, spend)
		if err != nil {
			return nil, err
		}
		if damage != nil {
			found = append(found, *damage)
		}
	}
	return found, nil
}

// repairJournal makes a checkpoint that stands for all that is damaged, and puts that
// aside once it is durable.
func (s *Store) repairJournal(ctx context.Context, j *journal.Journal, damaged []journal.Damage) error {
	for _, damage := range damaged {
		if damage.Active {
			if err := s.seal(j); err != nil {
				return err
			}
		}
	}
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	_, made, err := s.writeCheckpoint(ctx)
	if err != nil {
		return err
	}
	for _, damage := range damaged {
		if damage.Last > made.Sequence {
			return fmt.Errorf("%w: the database is behind it", store.ErrUnavailable)
		}
	}
	if err := s.putFilesAside(j, made, damaged); err != nil {
		return err
	}
	s.log.Warn("the journal is repaired: a checkpoint stands for what was damaged", slog.Uint64("change", made.Sequence))
	return nil
}

// seal has the journal write to another segment.
func (s *Store) seal(j *journal.Journal) error {
	s.committer.Lock()
	defer s.committer.Unlock()
	return j.Seal()
}

func (s *Store) putFilesAside(j *journal.Journal, made journal.Checkpoint, damaged []journal.Damage) error {
	var aside string
	for _, damage := range damaged {
		if damage.Name == made.Name() || j.IsActive(damage.Name) {
			continue // it was replaced
		}
		if aside == "" {
			var err error
			if aside, err = s.makeAside(); err != nil {
				return err
			}
		}
		if err := j.PutAside(damage.Name, aside); err != nil {
			return err
		}
	}
	if aside == "" {
		return nil
	}
	return firstError(
		func() error { return s.fsys.SyncDirectory(aside) },
		func() error { return s.fsys.SyncDirectory(s.journalPath()) },
		s.removeAsides,
	)
}

var _ store.JournalScrubber = (*Store)(nil)
