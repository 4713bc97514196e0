package packs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// findLines finds the pack that had lines last. Where they were begun anew in a later one, the
// journal has those before.
func (s *Store) findLines() {
	packs := s.all()
	slices.SortFunc(packs, func(a, b *pack) int { return cmp.Compare(b.number, a.number) })
	header, unused := make([]byte, format.EntryHeader), make([]byte, format.EntryHeader)
	for _, p := range packs {
		err := s.inspect(p, func(file io.ReaderAt) error {
			_, err := file.ReadAt(header, p.layout.Table())
			return err
		})
		if errors.Is(err, io.EOF) || err == nil && bytes.Equal(header, unused) {
			continue
		}
		s.newest.Store(p) // what cannot be read now is read again
		return
	}
}

// inspect calls fn with the file of a pack.
func (s *Store) inspect(p *pack, fn func(file io.ReaderAt) error) error {
	file, err := disk.Open(p.path)
	if err != nil {
		return fmt.Errorf("opening a pack: %w", directory.Full(err))
	}
	defer file.Close()
	return fn(s.opened.reader(file))
}

// readEntries reads the entries of a pack.
func (p *pack) readEntries(file io.ReaderAt) ([]format.Entry, error) {
	raw := make([]byte, p.layout.Lines)
	n, err := file.ReadAt(raw, p.layout.Table())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: lines of the journal in pack %s cannot be read now: %w: try again; if it stays so, `caddy generic-registry rebuild --journal` leaves them out", store.ErrUnavailable, p.path, err)
	}
	return format.DecodeEntries(raw[:n]), nil
}

// Carried implements journal.Carrier.
func (s *Store) Carried(after uint64, journal string) (lines []byte, err error) {
	defer s.hold()()
	s.joined.Store(!s.readOnly && s.layout.Lines > 0 && disk.AreOnOne(s.path, journal))
	p := s.newest.Load()
	if p == nil {
		return nil, nil
	}
	err = s.inspect(p, func(file io.ReaderAt) error {
		entries, err := p.readEntries(file)
		if last := len(entries) - 1; err == nil && last >= 0 && entries[last].Last() > after {
			entries, err = s.settle(p, file, entries)
		}
		for _, e := range entries {
			lines = append(lines, e.Lines...)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.opened.isThere(); err == nil {
			s.newest.Store(nil) // it was removed, with its blobs
		}
	}
	return lines, err
}

// settle writes the blobs that the last entry names anew, durably: their sync may have failed.
// Where they are not all whole, it takes the entry out, durably: they will be deleted, and their
// slots be given again. What the disk cannot read may have been acknowledged: it is damage.
func (s *Store) settle(p *pack, file io.ReaderAt, entries []format.Entry) ([]format.Entry, error) {
	whole, last := true, len(entries)-1
	all := func(editing disk.File) (err error) {
		for i := 0; i < len(entries[last].Slots) && whole && err == nil; i++ {
			whole, err = s.settleOne(p, file, editing, int(entries[last].Slots[i]))
		}
		if whole || err != nil {
			return err
		}
		s.log.Warn("leaving out changes that were never acknowledged: not all of their small files are there")
		if entries = entries[:last]; editing == nil {
			return nil
		}
		at := p.layout.Table()
		for _, e := range entries {
			at += e.Size()
		}
		_, err = editing.WriteAt(make([]byte, format.EntryHeader), at)
		return err
	}
	err := s.rewrite(p, all)
	return entries, err
}

// rewrite has something written to a pack, and syncs it. Who writes nothing gets no file.
func (s *Store) rewrite(p *pack, write func(editing disk.File) error) error {
	if s.readOnly {
		return write(nil)
	}
	editing, err := s.fsys.Edit(p.path)
	if err == nil {
		if err = write(editing); err == nil {
			err = editing.Sync()
		}
		err = errors.Join(err, editing.Close())
	}
	if err != nil {
		return fmt.Errorf("writing to a pack: %w", directory.Full(err))
	}
	return nil
}

// settleOne writes one blob anew, unless it is deleted, or nil is there to write it to.
func (s *Store) settleOne(p *pack, file io.ReaderAt, editing disk.File, number int) (whole bool, err error) {
	p.mu.RLock() // no deletion begins meanwhile
	defer p.mu.RUnlock()
	raw, at := make([]byte, format.SlotSize), int64(number)*format.SlotSize
	_, err = file.ReadAt(raw, at)
	one, sound := format.DecodeSlot(raw)
	var content []byte
	if sound {
		content, err = p.readContent(file, one)
	}
	switch {
	case format.IsDeleted(raw):
		return true, nil
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, store.ErrDamaged):
		s.log.Error("a small file cannot be read", slog.String("pack", p.path), slog.Any("error", err))
		return true, nil
	case !sound || err != nil || format.Sum(content) != one.Sum || !p.has(number):
		return false, nil
	case editing == nil:
		return true, nil
	}
	if _, err = editing.WriteAt(content, p.layout.At(one.Block)); err == nil {
		_, err = editing.WriteAt(raw, at)
	}
	return true, err
}

// Forget takes lines that cannot be read out of the newest pack: the journal was made without them.
func (s *Store) Forget() error {
	defer s.hold()()
	p := s.newest.Load()
	if p == nil || s.inspect(p, func(file io.ReaderAt) error { _, err := p.readEntries(file); return err }) == nil {
		return nil
	}
	return s.rewrite(p, func(editing disk.File) error {
		_, err := editing.WriteAt(make([]byte, p.layout.Lines), p.layout.Table()) // all of it: a part may be unreadable
		return err
	})
}
