package packs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// begin makes a pack, of which the name is durable.
func (s *Store) begin(number uint64) (*pack, error) {
	if err := s.leave(); err != nil {
		s.log.Warn("closing a pack", slog.Any("error", err)) // what is in it is durable
	}
	p := newPack(number, s.path, s.layout)
	file, err := s.fsys.Create(p.path)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("making a pack: %w", directory.NotWritten(err))
	}
	if err = s.fsys.SyncDirectory(s.path); err == nil {
		err = s.edit(p)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a pack: %w", directory.NotWritten(err)), s.fsys.Remove(p.path))
	}
	s.prepared = 0 // its table too
	s.add(p)
	return p, nil
}

// enter opens a pack to write to it. fs.ErrNotExist when it was removed, ErrUnavailable when
// it or the directory was replaced: what is written to the open file then nobody finds again.
func (s *Store) enter(p *pack) error {
	if s.pack == p {
		err := disk.StillNamed(s.file, p.path)
		if errors.Is(err, fs.ErrNotExist) {
			return cmp.Or(s.opened.isThere(), fs.ErrNotExist)
		}
		return err
	}
	if err := s.leave(); err != nil {
		s.log.Warn("closing a pack", slog.Any("error", err))
	}
	if err := s.edit(p); err != nil {
		return fmt.Errorf("opening a pack: %w", directory.NotWritten(err))
	}
	return nil
}

func (s *Store) edit(p *pack) error {
	p.table.Lock()
	defer p.table.Unlock()
	if err := s.opened.isThere(); err != nil {
		return err
	}
	file, err := s.fsys.Edit(p.path)
	if err != nil {
		return err
	}
	if !p.marks.BeginWriting() {
		return errors.Join(fs.ErrNotExist, file.Close())
	}
	s.pack, s.file, s.prepared = p, file, p.layout.At(p.nextBlock)
	s.lines = p.layout.Lines // what is there is not known: they begin anew
	return nil
}

// leave closes the pack that is open to be written, with what is staged in it, and gives back
// what was prepared for more. It may be removed from now on.
func (s *Store) leave() error {
	if len(s.staged) > 0 {
		err := disk.StillNamed(s.file, s.pack.path)
		if err == nil {
			err = s.file.Sync()
		}
		if err != nil {
			s.disown(s.pack, nil, err) // which leaves it too
		}
		s.staged = nil
	}
	p, file := s.pack, s.file
	if p == nil {
		return nil
	}
	s.pack, s.file = nil, nil
	var err error
	if end := p.layout.At(p.nextBlock); s.prepared > end {
		err = file.Truncate(end)
	}
	err = errors.Join(err, file.Close())
	p.marks.EndWriting()
	s.removeSoon(p)
	return directory.Full(err)
}

// raise notes the number of a pack that has a durable slot, and removes the packs that were
// kept until then although they are empty.
func (s *Store) raise(number uint64) {
	s.mu.Lock()
	before := s.top
	s.top = max(before, number)
	s.mu.Unlock()
	if number <= before {
		return
	}
	for _, p := range s.all() {
		if p.number >= before {
			s.removeSoon(p)
		}
	}
}
