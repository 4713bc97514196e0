package packs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Delete deletes a blob. An absent one is not an error. After an error the blob may be
// there, with content or without, and can be deleted again.
func (s *Store) Delete(locator store.Locator) error {
	if s.isNamedLast(locator) {
		return s.Drop(locator)
	}
	return s.remove(locator, func(file disk.File, p *pack, at format.Address, one format.Slot) error {
		// A full disk may have no room to take note of a hole: the blocks come back with the
		// whole file, or when the store is opened.
		if err := p.punch(file, one); err != nil && !disk.IsFull(err) {
			return err
		}
		return s.empty(file, p, at)
	})
}

// Drop deletes a blob for good: when it returns nil no power cut brings it back. After an
// error it is there as it was. No round is written meanwhile, so that no sync but this one
// is told of an error that this one has to tell.
func (s *Store) Drop(locator store.Locator) error {
	return s.remove(locator, func(file disk.File, p *pack, at format.Address, one format.Slot) error {
		defer s.hold()()
		before, err := p.rawSlot(at)
		if err != nil {
			return err
		}
		_, err = file.WriteAt(format.DeletedSlot[:], int64(at.Slot)*format.SlotSize)
		if err == nil {
			err = file.Sync()
		}
		if err != nil {
			_, undoing := file.WriteAt(before, int64(at.Slot)*format.SlotSize)
			s.giveUp(p)
			return errors.Join(err, undoing, file.Sync())
		}
		if err := p.punch(file, one); err != nil { // it is deleted all the same
			s.log.Warn("taking the blocks of a small file out of a pack", slog.String("pack", p.path), slog.Any("error", err))
		}
		return nil
	})
}

func (p *pack) rawSlot(at format.Address) ([]byte, error) {
	raw := make([]byte, format.SlotSize)
	file, err := disk.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	_, err = file.ReadAt(raw, int64(at.Slot)*format.SlotSize)
	return raw, err
}

// remove keeps a blob from readers, and has its bytes taken away. If they cannot be, the
// blob is there again.
func (s *Store) remove(locator store.Locator, away func(disk.File, *pack, format.Address, format.Slot) error) error {
	at, err := format.Find(locator)
	if err != nil {
		return err
	}
	p := s.get(at.Pack)
	if p == nil {
		return nil
	}
	one, end, err := s.take(p, at)
	if errors.Is(err, store.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := s.fsys.Edit(p.path)
	if err == nil {
		err = away(file, p, at, one)
		if closing := file.Close(); closing != nil { // away has synced what has to be durable
			s.log.Warn("closing a pack", slog.String("pack", p.path), slog.Any("error", closing))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = s.opened.isThere() // the pack is gone, and its blobs with it
	}
	if err != nil {
		end(true)
		return fmt.Errorf("removing a small file: %w", directory.Full(err))
	}
	end(false)
	return s.removeEmpty(p)
}

// take keeps a blob from readers, when no one reads it. It returns the slot, of a damaged
// one without its blocks, and how that ends. ErrBlobNotFound. The disk is read before readers
// have to wait.
func (s *Store) take(p *pack, at format.Address) (one format.Slot, end func(kept bool), err error) {
	file, release, err := p.acquire(&s.opened)
	if err != nil {
		return one, nil, err
	}
	one, err = p.readSlot(file, at)
	release()
	if errors.Is(err, store.ErrDamaged) {
		one, err = format.Slot{}, nil
	}
	if err != nil {
		return one, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	end, is := p.marks.Take(at.Slot)
	if !is {
		err = store.ErrBlobNotFound // deleted just now
	}
	return one, end, err
}

// punch takes the blocks of a blob out of the file.
func (p *pack) punch(file disk.File, one format.Slot) error {
	if one.Length == 0 {
		return nil
	}
	return disk.Clear(file, p.layout.At(one.Block), int64(format.Blocks(one.Length))*format.BlockSize)
}

// empty marks a slot. The last blob of a block of the table takes the block with it, of a
// pack that is never written again.
func (s *Store) empty(file disk.File, p *pack, at format.Address) error {
	p.table.Lock()
	defer p.table.Unlock()
	first := at.Slot / format.SlotsPerBlock * format.SlotsPerBlock
	if !s.isLast(p) && s.newest.Load() != p && p.marks.IsVacant(first, first+format.SlotsPerBlock) {
		if err := disk.Clear(file, int64(first)*format.SlotSize, format.BlockSize); !disk.IsFull(err) {
			return err
		}
	}
	_, err := file.WriteAt(format.DeletedSlot[:], int64(at.Slot)*format.SlotSize)
	return err
}

// isLast tells whether a pack has the highest number of those that have a durable slot, or a
// higher one. It stays, empty or not, so that neither the number nor a slot is given again.
func (s *Store) isLast(p *pack) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return p.number >= s.top
}

// removeEmpty removes a pack that has no blob, is not being written, and does not have the
// newest lines. If there is one to remove, it waits for readers first.
func (s *Store) removeEmpty(p *pack) error {
	if !s.retire(p) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.unlink(p)
}

// removeSoon is removeEmpty for who writes blobs: while somebody reads, another goroutine waits.
func (s *Store) removeSoon(p *pack) {
	if !s.retire(p) {
		return
	}
	unlink := func() {
		defer p.mu.Unlock()
		if err := s.unlink(p); err != nil {
			s.log.Warn("removing a pack without blobs", slog.Any("error", err))
		}
	}
	if p.mu.TryLock() {
		unlink()
		return
	}
	s.removing.Go(func() {
		p.mu.Lock()
		unlink()
	})
}

func (s *Store) retire(p *pack) bool {
	return !s.readOnly && p.marks.Remove(func() bool { return s.isLast(p) || s.newest.Load() == p })
}

// unlink requires p.mu.
func (s *Store) unlink(p *pack) error {
	if p.file != nil {
		s.opened.Forget(p)
		_ = p.file.Close() // it was only read
		p.file = nil
	}
	if err := s.fsys.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.marks.Keep()
		return fmt.Errorf("removing a pack without blobs: %w", directory.Full(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.packs, p.number)
	return nil
}
