package backup

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// maxBackupEntry is how many bytes an entry that is read into memory may have.
	maxBackupEntry = 16 << 20
	// maxDamagedBlob is about how many bytes a backup may say of one damaged blob.
	maxDamagedBlob = 64 << 10
)

// Reader reads a backup: its head, then all lines, then all blobs. It holds
// what it reads against the rest: a backup that was cut, or whose lines do not
// follow each other, is an error at the latest where it ends.
type Reader struct {
	tar     *tar.Reader
	head    Head
	at      store.Position // of the lines read so far
	begun   bool           // a checkpoint is being read
	name    string         // of the entry that was read last
	read    End
	damaged []DamagedBlob
	next    *tar.Header // read already, used by neither NextLines nor NextBlob yet
	ended   bool
}

// NewReader reads the head. store.ErrIncomplete when there is none, ErrFormat when a
// newer release wrote it.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{tar: tar.NewReader(r)}
	header, err := b.advance()
	if err != nil {
		return nil, err
	}
	if header.Name != backupHead {
		return nil, fmt.Errorf("%w: it begins with %q", store.ErrIncomplete, header.Name)
	}
	text, err := b.content(header, maxBackupEntry)
	if err != nil {
		return nil, err
	}
	if err := ParseHead(text, &b.head); err != nil {
		return nil, err
	}
	b.at = b.head.Since
	return b, nil
}

// ParseHead reads a sealed head into a *BackupHead or a pointer to a struct that
// embeds one. store.ErrDamaged, ErrFormat.
func ParseHead(text []byte, into any) error {
	var head Head
	if err := json.Unmarshal(text, &head); err != nil || head.Format < 1 {
		return fmt.Errorf("%w: %s is not the head of a backup", store.ErrDamaged, backupHead)
	}
	if head.Format != BackupFormat {
		return fmt.Errorf("%w: the backup has format %d, this release reads %d only; use the release that wrote it", store.ErrFormat, head.Format, BackupFormat)
	}
	if head.Sum != head.sum() || head.Store == "" || head.Since.Sequence > head.Position.Sequence {
		return fmt.Errorf("%w: %s was changed", store.ErrDamaged, backupHead)
	}
	if err := jsonl.DecodeStrictly(bytes.NewReader(text), into); err != nil {
		return fmt.Errorf("%w: %s: %w", store.ErrDamaged, backupHead, err)
	}
	return nil
}

// Head says what the backup is of.
func (b *Reader) Head() Head { return b.head }

// Name is that of the entry whose lines NextLines returned last.
func (b *Reader) Name() string { return b.name }

// At is the position after the lines that were read so far.
func (b *Reader) At() store.Position { return b.at }

// NextLines returns some lines of the journal, whole and with their newlines, that
// follow those before. io.EOF after the last of all. store.ErrDamaged, store.ErrIncomplete.
func (b *Reader) NextLines() ([]byte, error) {
	header, err := b.advance()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(header.Name, backupLines) && !strings.HasPrefix(header.Name, backupFirst) {
		b.next = header
		if b.at != b.head.Position {
			return nil, fmt.Errorf("%w: its lines end at change %d, not at %d, or on another chain", store.ErrIncomplete, b.at.Sequence, b.head.Position.Sequence)
		}
		return nil, io.EOF
	}
	lines, err := b.content(header, maxBackupEntry)
	if err != nil {
		return nil, err
	}
	count := 0
	gathered := lineGatherer{at: b.at, checkpoint: b.begun, pending: lines, use: func(piece linePiece) error {
		count = len(piece.changes)
		if header.Name != piece.name() {
			return fmt.Errorf("%w: it has the lines %d to %d", store.ErrDamaged, piece.first, piece.last)
		}
		return nil
	}}
	if rest, handErr := gathered.hand(); handErr != nil || rest > 0 || count == 0 {
		err = cmp.Or(handErr, fmt.Errorf("%w: it has other lines than its name says", store.ErrDamaged))
	}
	b.read.Lines += int64(count)
	b.at, b.begun, b.name = gathered.at, gathered.checkpoint, header.Name
	if err != nil {
		return nil, fmt.Errorf("%s: %w", header.Name, err)
	}
	return lines, nil
}

// NextBlob returns the locator of a blob, its size and its bytes, which must be
// read before the next call and are held against nothing. io.EOF after the last,
// when the backup is whole. store.ErrDamaged, store.ErrIncomplete.
func (b *Reader) NextBlob() (store.Locator, int64, io.Reader, error) {
	if b.ended {
		return "", 0, nil, io.EOF
	}
	header, err := b.advance()
	if err != nil {
		return "", 0, nil, err
	}
	name, isBlob := strings.CutPrefix(header.Name, backupBlobs)
	if !isBlob {
		return "", 0, nil, b.readEnd(header)
	}
	locator := store.Locator(name)
	if _, _, err := locator.Split(); err != nil {
		return "", 0, nil, err
	}
	b.read.Blobs++
	b.read.Bytes += header.Size
	return locator, header.Size, cutReader{b.tar}, nil
}

// Damaged returns the blobs that the backup lacks, after NextBlob's io.EOF.
func (b *Reader) Damaged() []DamagedBlob { return b.damaged }

// End returns what the backup has, after NextBlob's io.EOF.
func (b *Reader) End() End { return b.read }

// readEnd reads the entries after the blobs. It returns io.EOF when they make the
// backup whole.
func (b *Reader) readEnd(header *tar.Header) error {
	if header.Name == backupDamaged {
		err := b.readDamaged()
		if err != nil && !errors.Is(err, store.ErrIncomplete) {
			err = fmt.Errorf("%w: %s: %w", store.ErrDamaged, backupDamaged, err)
		}
		if err != nil {
			return err
		}
		if header, err = b.advance(); err != nil {
			return err
		}
	}
	if header.Name != backupEnd {
		return fmt.Errorf("%w: unknown entry %q", store.ErrFormat, header.Name)
	}
	text, err := b.content(header, maxBackupEntry)
	if err != nil {
		return err
	}
	var end End
	if err := json.Unmarshal(text, &end); err != nil {
		return fmt.Errorf("%w: %s: %w", store.ErrDamaged, backupEnd, err)
	}
	b.read.Position, b.read.Damaged = b.at, int64(len(b.damaged))
	if end != b.read {
		return fmt.Errorf("%w: it should have %d lines, %d blobs and %d bytes, and has %d, %d and %d",
			store.ErrIncomplete, end.Lines, end.Blobs, end.Bytes, b.read.Lines, b.read.Blobs, b.read.Bytes)
	}
	if header, err := b.tar.Next(); err == nil {
		return fmt.Errorf("%w: %q comes after its end", store.ErrDamaged, header.Name)
	}
	b.ended = true
	return io.EOF
}

// readDamaged reads the list of damaged blobs, one at a time: memory follows the lines
// that were read, each of which names one blob at most.
func (b *Reader) readDamaged() error {
	entry := &io.LimitedReader{R: cutReader{b.tar}, N: maxDamagedBlob}
	list := json.NewDecoder(entry)
	if begin, err := list.Token(); err != nil || begin != json.Delim('[') {
		return cmp.Or(err, errNoList)
	}
	for list.More() {
		if int64(len(b.damaged)) == b.read.Lines {
			return fmt.Errorf("it has more blobs than the %d lines name", b.read.Lines)
		}
		entry.N = maxDamagedBlob
		var blob DamagedBlob
		if err := list.Decode(&blob); err != nil {
			return err
		}
		b.damaged = append(b.damaged, blob)
	}
	if _, err := list.Token(); err != nil { // the list's end
		return err
	}
	if _, err := list.Token(); err != io.EOF {
		return cmp.Or(err, errNoList)
	}
	return nil
}

var errNoList = errors.New("it is not one list")

// advance returns the header of the next entry.
func (b *Reader) advance() (*tar.Header, error) {
	if header := b.next; header != nil {
		b.next = nil
		return header, nil
	}
	header, err := b.tar.Next()
	if err != nil {
		return nil, cutError(err)
	}
	if header.Typeflag != tar.TypeReg {
		return nil, fmt.Errorf("%w: %q is not a file", store.ErrDamaged, header.Name)
	}
	if header.Name != backupFailure {
		return header, nil
	}
	var failed backupFailed
	text, err := b.content(header, maxBackupEntry)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &failed); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", store.ErrDamaged, backupFailure, err)
	}
	return nil, fmt.Errorf("%w: making it failed: %s", store.ErrIncomplete, failed.Error)
}

// content reads an entry into memory.
func (b *Reader) content(header *tar.Header, limit int64) ([]byte, error) {
	if header.Size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes", store.ErrDamaged, header.Name, header.Size)
	}
	var content bytes.Buffer
	if _, err := content.ReadFrom(b.tar); err != nil {
		return nil, fmt.Errorf("reading %s: %w", header.Name, cutError(err))
	}
	return content.Bytes(), nil
}

// cutError says that a stream ended where it may not, or is no tar.
func cutError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it was cut", store.ErrIncomplete)
	}
	if errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: not a backup, or one that was changed: %w", store.ErrDamaged, err)
	}
	return err
}

// cutReader reads an entry's bytes.
type cutReader struct{ reader io.Reader }

func (c cutReader) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	if err != nil && err != io.EOF {
		err = cutError(err)
	}
	return n, err
}

// ReadThrough reads the backup to its end. Nil means that it is whole; its bytes are
// held against nothing.
func (r *Reader) ReadThrough(count func(size int64)) error {
	for {
		if _, err := r.NextLines(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	for {
		_, size, content, err := r.NextBlob()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			_, err = io.Copy(io.Discard, content)
		}
		if err != nil {
			return err
		}
		count(size)
	}
}
