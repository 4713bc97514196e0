package integration

import (
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stored is a blob on the disk: a file of its own, or a part of a pack. The documentation of
// package packs says what a pack is.
type stored struct {
	file         string
	offset, size int64
	slot         int // of a pack; -1 of a file
}

const (
	packSlots, packSlot = 16 << 10, 32
	packLines           = 256 << 10 // lines of the journal, between the slots and the content
	packHead            = packSlots*packSlot + packLines
	packBlock           = 4096
)

// blobs lists what is stored in the registry's blobs, and uploads in progress, without what
// is in quarantine.
func (s *server) blobs() (committed []stored, uploads []string) {
	s.Helper()
	root := filepath.Join(s.root, "blobs")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreMissing(err)
		}
		switch directory := filepath.Dir(path); directory {
		case root, filepath.Join(root, "quarantine"), filepath.Join(root, "uploads"): // FORMAT, the lock, copies, and sessions
		case filepath.Join(root, "tmp"):
			uploads = append(uploads, path)
		case filepath.Join(root, "packs"):
			packed, err := blobsOfPack(path)
			committed = append(committed, packed...)
			return ignoreMissing(err)
		default:
			info, err := entry.Info()
			if err != nil {
				return ignoreMissing(err)
			}
			committed = append(committed, stored{path, 0, info.Size(), -1})
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return committed, uploads
}

func blobsOfPack(path string) (blobs []stored, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	table := make([]byte, packSlots*packSlot)
	n, _ := file.ReadAt(table, 0) // a pack may have no content yet
	for slot := range n / packSlot {
		raw := table[slot*packSlot : (slot+1)*packSlot]
		if crc32.Checksum(raw[:28], crc32.MakeTable(crc32.Castagnoli)) == binary.LittleEndian.Uint32(raw[28:]) {
			block, size := binary.LittleEndian.Uint16(raw[14:]), binary.LittleEndian.Uint32(raw[16:])
			blobs = append(blobs, stored{path, packHead + int64(block)*packBlock, int64(size), slot})
		}
	}
	return blobs, nil
}

func (b stored) read(t testing.TB) []byte {
	t.Helper()
	content := make([]byte, b.size)
	b.edit(t, func(file *os.File) error {
		_, err := file.ReadAt(content, b.offset)
		return err
	})
	return content
}

func (b stored) edit(t testing.TB, edit func(*os.File) error) {
	t.Helper()
	file, err := os.OpenFile(b.file, os.O_RDWR, 0)
	if err == nil {
		defer file.Close()
		err = edit(file)
	}
	if err != nil && !isMissing(err) {
		t.Fatal(err)
	}
}

// flip changes one bit of the content.
func (b stored) flip(t testing.TB, at int64, bit byte) {
	t.Helper()
	content := b.read(t)
	b.edit(t, func(file *os.File) error {
		_, err := file.WriteAt([]byte{content[at] ^ bit}, b.offset+at)
		return err
	})
}

// remove loses a blob: its file, or its slot.
func (b stored) remove(t testing.TB) {
	t.Helper()
	if b.slot < 0 {
		if err := os.Remove(b.file); err != nil {
			t.Fatal(err)
		}
		return
	}
	b.edit(t, func(file *os.File) error {
		_, err := file.WriteAt(make([]byte, packSlot), int64(b.slot)*packSlot)
		return err
	})
}

// cut loses the end of a file, or of a pack, of which the blob is the last one.
func (b stored) cut(t testing.TB, size int64) {
	t.Helper()
	if err := os.Truncate(b.file, b.offset+size); err != nil {
		t.Fatal(err)
	}
}

// age has a blob be written at another time.
func (b stored) age(t testing.TB, written time.Time) {
	t.Helper()
	if b.slot < 0 {
		if err := os.Chtimes(b.file, time.Time{}, written); err != nil && !isMissing(err) {
			t.Fatal(err)
		}
		return
	}
	b.edit(t, func(file *os.File) error {
		raw := make([]byte, packSlot)
		if _, err := file.ReadAt(raw, int64(b.slot)*packSlot); err != nil {
			return err
		}
		if !slices.ContainsFunc(raw[:28], func(b byte) bool { return b != 0xff }) {
			return nil // deleted meanwhile
		}
		binary.LittleEndian.PutUint32(raw[20:], uint32(written.Unix()))
		binary.LittleEndian.PutUint32(raw[28:], crc32.Checksum(raw[:28], crc32.MakeTable(crc32.Castagnoli)))
		_, err := file.WriteAt(raw[20:], int64(b.slot)*packSlot+20)
		return err
	})
}

// locator is what records call the blob.
func (b stored) locator(t testing.TB) string {
	t.Helper()
	name := filepath.Base(b.file)
	if b.slot < 0 {
		return filepath.Base(filepath.Dir(b.file)) + "/" + name
	}
	random := make([]byte, 14)
	b.edit(t, func(file *os.File) error {
		_, err := file.ReadAt(random, int64(b.slot)*packSlot)
		return err
	})
	raw := append(binary.BigEndian.AppendUint16(nil, uint16(b.slot)), random...)
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	return "p" + name + "/" + strings.ToLower(encoding.EncodeToString(raw))
}

// repeat writes a blob of a pack once more, after the last one, with a slot of its own.
func (b stored) repeat(t testing.TB) {
	t.Helper()
	content := b.read(t)
	b.edit(t, func(file *os.File) error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		end := (info.Size() + packBlock - 1) / packBlock * packBlock
		raw := make([]byte, packSlot)
		if _, err := file.ReadAt(raw, int64(b.slot)*packSlot); err != nil {
			return err
		}
		raw[0] ^= 0xff
		binary.LittleEndian.PutUint16(raw[14:], uint16((end-packHead)/packBlock))
		binary.LittleEndian.PutUint32(raw[28:], crc32.Checksum(raw[:28], crc32.MakeTable(crc32.Castagnoli)))
		if _, err := file.WriteAt(content, end); err != nil {
			return err
		}
		_, err = file.WriteAt(raw, int64(b.slot+1)*packSlot)
		return err
	})
}
