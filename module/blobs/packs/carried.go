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
	header := make([]byte, format.EntryHeader)
	for _, p := range packs {
		err := s.inspect(p, func(file io.ReaderAt) error {
			_, err := file.ReadAt(header, p.layout.Table())
			return err
		})
		if errors.Is(err, io.EOF) || err == nil && len(bytes.Trim(header, "\x00")) == 0 {
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
func (s *Store) readEntries(p *pack, file io.ReaderAt) (format.Entries, error) {
	raw := make([]byte, p.layout.Lines)
	n, err := file.ReadAt(raw, p.layout.Table())
	if err != nil && !errors.Is(err, io.EOF) {
		return format.Entries{}, fmt.Errorf("%w: lines of the journal in pack %s cannot be read now: %w: try again; if it stays so, `caddy generic-registry rebuild --journal` leaves them out", store.ErrUnavailable, p.path, err)
	}
	return format.DecodeEntries(raw[:n], s.id), nil
}

// Carried implements journal.Carrier.
func (s *Store) Carried(id string, after uint64, journal string) (lines []byte, err error) {
	defer s.hold()()
	s.id = id
	s.joined.Store(!s.readOnly && s.layout.Lines > 0 && disk.AreOnOne(s.path, journal))
	p := s.newest.Load()
	if p == nil {
		return nil, nil
	}
	err = s.inspect(p, func(file io.ReaderAt) error {
		entries, err := s.readEntries(p, file)
		if err == nil {
			entries.List, err = s.settle(p, file, entries, after)
		}
		for _, e := range entries.List {
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

// endLines writes what ends the lines of a pack, unless nil is there to write it to.
func (s *Store) endLines(p *pack, editing disk.File, end int64) error {
	if editing == nil {
		return nil
	}
	_, err := editing.WriteAt(format.Ending(s.id), p.layout.Table()+end)
	return err
}

// settle writes the blobs that the last entry names anew, durably, if that has lines after a
// number: their sync may have failed. Where they are not all whole, it takes the entry out,
// durably: they will be deleted, and their slots be given again. What the disk cannot read may
// have been acknowledged: it is damage. The entry itself is not written anew: the journal has its
// lines durable before anybody relies on them.
func (s *Store) settle(p *pack, file io.ReaderAt, entries format.Entries, after uint64) (list []format.Entry, err error) {
	list = entries.List
	var last format.Entry
	if len(list) > 0 && list[len(list)-1].Last() > after {
		last = list[len(list)-1]
	} else if !entries.IsEnded {
		return list, nil
	}
	err = s.rewrite(p, func(editing disk.File) (err error) {
		if entries.IsEnded { // the sync of that may have failed
			err = s.endLines(p, editing, entries.Size)
		}
		whole := true
		for i := 0; i < len(last.Slots) && whole && err == nil; i++ {
			whole, err = s.settleOne(p, file, editing, int(last.Slots[i]))
		}
		if whole || err != nil {
			return err
		}
		s.log.Warn("leaving out changes that were never acknowledged: not all of their small files are there")
		list = list[:len(list)-1]
		return s.endLines(p, editing, entries.Size-last.Size())
	})
	return list, err
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
	case !sound || err != nil || format.Sum(content) != one.Sum || p.marks.IsFree(number):
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
	if p == nil {
		return nil
	}
	var unread error
	err := s.inspect(p, func(file io.ReaderAt) error { _, unread = s.readEntries(p, file); return nil })
	if err != nil || unread == nil {
		return err
	}
	s.log.Error("lines of the journal that cannot be read are left out", slog.Any("error", unread))
	return s.rewrite(p, func(editing disk.File) error {
		_, err := editing.WriteAt(make([]byte, p.layout.Lines), p.layout.Table()) // all of it: a part may be unreadable
		return err
	})
}
