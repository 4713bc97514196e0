package filesystem

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// entry is a blob to be written ahead.
type entry struct {
	locator store.Locator
	content []byte
	epoch   uint64 // of the log when the file was written
}

// A segment is entries, one after the other: the head, the locator, the content. The
// head is, in little-endian order, the checksum (CRC-32C) of the rest of the head and
// the locator; that of the content; the length of the content; the length of the locator.
const headSize = 4 + 4 + 4 + 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (e entry) size() int64 { return int64(headSize + len(e.locator) + len(e.content)) }

func weigh(entries []entry) (bytes int64) {
	for _, e := range entries {
		bytes += e.size()
	}
	return bytes
}

// encode appends an entry to a buffer.
func (e entry) encode(buffer []byte) []byte {
	start := len(buffer)
	buffer = append(buffer, 0, 0, 0, 0)
	buffer = binary.LittleEndian.AppendUint32(buffer, crc32.Checksum(e.content, castagnoli))
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(len(e.content)))
	buffer = append(buffer, byte(len(e.locator)))
	buffer = append(buffer, e.locator...)
	binary.LittleEndian.PutUint32(buffer[start:], crc32.Checksum(buffer[start+4:], castagnoli))
	return append(buffer, e.content...)
}

// segment is a file of the log that is being written.
type segment struct {
	path      string
	file      disk.File
	allowance *allowance
	size      int64
	locators  []store.Locator // of what is in it
	epoch     uint64          // the oldest of an entry
	buffer    []byte
}

// writeStep bounds the buffer that entries are gathered in.
const writeStep = 1 << 20

// create begins a segment. Its blocks are set aside, so that appending needs no room.
// Requires l.turn.
func (l *wal) create() (s *segment, err error) {
	allowance, err := l.space.allow(l.limits.segment)
	if err != nil {
		return nil, err
	}
	l.number++
	s = &segment{path: filepath.Join(l.path, strconv.FormatUint(l.number, 10)), allowance: allowance}
	if s.file, err = l.fsys.Create(s.path); err != nil {
		allowance.end()
		return nil, err
	}
	if err := allocate(s.file, allowance, l.limits.segment); err != nil {
		return nil, errors.Join(err, s.end(), l.fsys.Remove(s.path))
	}
	if err := l.fsys.SyncDirectory(l.path); err != nil {
		return nil, errors.Join(err, s.end(), l.fsys.Remove(s.path))
	}
	return s, nil
}

// append writes entries and syncs them.
func (s *segment) append(entries []entry) error {
	if err := s.allowance.need(weigh(entries)); err != nil {
		return err
	}
	s.buffer = s.buffer[:0]
	for i, e := range entries {
		s.buffer = e.encode(s.buffer)
		if len(s.buffer) < writeStep && i < len(entries)-1 {
			continue
		}
		if err := s.write(); err != nil {
			return err
		}
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	for _, e := range entries {
		if len(s.locators) == 0 || e.epoch < s.epoch {
			s.epoch = e.epoch
		}
		s.locators = append(s.locators, e.locator)
	}
	return nil
}

func (s *segment) write() error {
	n, err := s.file.Write(s.buffer)
	s.size += int64(n)
	s.allowance.written(int64(n))
	s.buffer = s.buffer[:0]
	return err
}

// end closes the file and gives back the room that it did not take.
func (s *segment) end() error {
	s.allowance.end()
	s.buffer = nil
	return s.file.Close()
}
