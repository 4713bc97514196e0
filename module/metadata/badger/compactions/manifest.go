package compactions

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"
)

// read follows the manifest. Requires l.mu, or that nobody else has the ledger.
func (l *Ledger) read() error {
	name := filepath.Join(l.path, badger.ManifestFilename)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for manifest: %w", err)
	}
	if l.info != nil && os.SameFile(l.info, info) && info.Size() == l.offset {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening manifest: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return fmt.Errorf("asking for manifest: %w", err)
	}
	if l.info != nil && (!os.SameFile(l.info, info) || info.Size() < l.offset) {
		// Written anew, shorter: what happened between is not in it.
		l.offset, l.unknown = 0, true
		l.sum.Reset()
	}
	l.info = info
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	return l.follow(bufio.NewReader(file))
}

// follow reads sets of changes up to one that is not whole yet: Badger writes it just
// now.
func (l *Ledger) follow(manifest *bufio.Reader) error {
	const magicSize = 8
	if l.offset == 0 {
		magic := make([]byte, magicSize)
		if _, err := io.ReadFull(manifest, magic); err != nil {
			return nil
		}
		l.pass(magic)
	}
	for {
		set, changes, err := readChanges(manifest)
		if err != nil || set == nil {
			return err
		}
		l.pass(set)
		l.enter(changes)
	}
}

func (l *Ledger) pass(read []byte) {
	l.offset += int64(len(read))
	l.sum.Write(read)
}

// enter counts the tables of one set of changes. A memtable that was written makes a
// table and deletes none.
func (l *Ledger) enter(changes []*pb.ManifestChange) {
	var created int64
	compaction := false
	for _, change := range changes {
		switch change.Op {
		case pb.ManifestChange_CREATE:
			created++
		case pb.ManifestChange_DELETE:
			compaction = true
		}
	}
	if compaction {
		l.made += created
		l.ended++
	}
}

// readChanges returns the next set of changes of a manifest, with its bytes; nil when
// there is none that is whole.
func readChanges(manifest io.Reader) (set []byte, changes []*pb.ManifestChange, err error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, manifest, 8); err != nil {
		return nil, nil, ignoreEnd(err)
	}
	length, sum := binary.BigEndian.Uint32(head.Bytes()), binary.BigEndian.Uint32(head.Bytes()[4:])
	if _, err := io.CopyN(&head, manifest, int64(length)); err != nil {
		return nil, nil, ignoreEnd(err)
	}
	body := head.Bytes()[8:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, nil, nil
	}
	var read pb.ManifestChangeSet
	if err := proto.Unmarshal(body, &read); err != nil {
		return nil, nil, fmt.Errorf("reading manifest: %w", err)
	}
	return head.Bytes(), read.Changes, nil
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("reading manifest: %w", err)
}
