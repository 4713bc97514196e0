package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// BackupFormat is the format of backups that this release writes and reads.
const BackupFormat = 2

// A backup is a tar stream of these entries, in this order: the head; the lines of a
// checkpoint in pieces, if the journal begins with a checkpoint; the lines of the journal;
// the bytes of blobs, in the order in which the lines first name them; what was damaged;
// the end. A stream without the end is not a backup. A backup that failed on its way ends
// with the reason instead.
const (
	backupHead    = "backup.json"
	backupLines   = "journal/"
	backupFirst   = "checkpoint/"
	backupBlobs   = "blobs/"
	backupDamaged = "damaged.json"
	backupEnd     = "end.json"
	backupFailure = "error.json"

	linesSuffix = ".jsonl"
)

// Head says what a backup is of.
type Head struct {
	// Format is BackupFormat.
	Format int `json:"backup"`
	// Store is the ID of the metadata store.
	Store string `json:"store"`
	// Since is the position that the backup begins after. Zero for a full one.
	Since store.Position `json:"since"`
	// Position is the one that the backup has the store as of.
	Position store.Position `json:"position"`
	// Created is when it was begun.
	Created time.Time `json:"created"`
	// Incomplete is set when bytes that are damaged were left out instead of ending
	// the backup: its entry of damaged blobs says which.
	Incomplete bool `json:"incomplete,omitempty"`
	// Expected is about how much it has.
	Expected Totals `json:"expected"`
	// Sum is the SHA-256 of all the above, for what nothing else in a backup would
	// show. Seal sets it.
	Sum store.Digest `json:"sum"`
}

// Seal returns the head in the format of this release, with its sum.
func (h Head) Seal() Head {
	h.Format = BackupFormat
	h.Sum = h.sum()
	return h
}

func (h Head) sum() store.Digest {
	h.Sum = store.Digest{}
	text, _ := json.Marshal(h) // its fields always can be
	return sha256.Sum256(text)
}

// End is the last entry of a whole backup.
type End struct {
	Position store.Position `json:"position"`
	// Lines of the journal, Blobs, and their Bytes in the backup.
	Lines int64 `json:"lines"`
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Damaged is how many blobs the backup lacks.
	Damaged int64 `json:"damaged"`
}

// DamagedBlob is one whose bytes are missing or are not what was published.
type DamagedBlob struct {
	Digest  store.Digest  `json:"sha256"`
	Size    int64         `json:"size"`
	Locator store.Locator `json:"locator"`
	// Problem is for administrators.
	Problem string `json:"problem"`
}

type backupFailed struct {
	Error string `json:"error"`
}

// LinesName is the name of the entry with the lines of some changes.
func LinesName(first, last uint64) string { return linesName(backupLines, first, last) }

func linesName(prefix string, first, last uint64) string {
	return fmt.Sprintf("%s%016d-%016d%s", prefix, first, last, linesSuffix)
}

// name is that of the entry with the lines.
func (p linePiece) name() string {
	if p.checkpoint {
		return linesName(backupFirst, p.first, p.last)
	}
	return LinesName(p.first, p.last)
}

// ParseLinesName reads the name of an entry with lines, of the journal or of a checkpoint.
func ParseLinesName(name string) (first, last uint64, checkpoint bool, err error) {
	prefix := backupLines
	if checkpoint = strings.HasPrefix(name, backupFirst); checkpoint {
		prefix = backupFirst
	}
	if _, err := fmt.Sscanf(name, prefix+"%d-%d"+linesSuffix, &first, &last); err != nil || linesName(prefix, first, last) != name {
		return 0, 0, false, fmt.Errorf("%w: no name of lines: %q", store.ErrDamaged, name)
	}
	return first, last, checkpoint, nil
}

// Writer writes a backup. After an error it can only be dropped.
type Writer struct {
	tar  *tar.Writer
	head Head
	end  End
	sent LocatorSet
}

// NewWriter begins a backup. The head is sealed.
func NewWriter(w io.Writer, head Head) (*Writer, error) {
	head = head.Seal()
	b := &Writer{tar: tar.NewWriter(w), head: head, end: End{Position: head.Position}, sent: make(LocatorSet)}
	return b, b.writeJSON(backupHead, head)
}

// WriteLines adds whole lines of the journal or of its checkpoint, under the name of their
// entry.
func (b *Writer) WriteLines(name string, lines []byte) error {
	b.end.Lines += int64(bytes.Count(lines, []byte{'\n'}))
	return b.writeEntry(name, int64(len(lines)), bytes.NewReader(lines))
}

// HasBlob tells whether the bytes at a locator are in the backup already, or are to
// be left out.
func (b *Writer) HasBlob(locator store.Locator) bool { return b.sent.Has(locator) }

// SkipBlob leaves the bytes at a locator out.
func (b *Writer) SkipBlob(locator store.Locator) { b.sent.Add(locator) }

// WriteBlob adds the bytes at a locator. Content must have size bytes.
func (b *Writer) WriteBlob(locator store.Locator, size int64, content io.Reader) error {
	b.sent.Add(locator)
	b.end.Blobs++
	b.end.Bytes += size
	return b.writeEntry(backupBlobs+string(locator), size, content)
}

// Fail ends the backup with why it is not whole.
func (b *Writer) Fail(cause error) error {
	if err := b.writeJSON(backupFailure, backupFailed{Error: cause.Error()}); err != nil {
		return err
	}
	return b.tar.Close()
}

// End ends a whole backup, with the blobs that it lacks, and returns what it has.
func (b *Writer) End(damaged []DamagedBlob) (End, error) {
	b.end.Damaged = int64(len(damaged))
	if len(damaged) > 0 {
		if err := b.writeJSON(backupDamaged, damaged); err != nil {
			return b.end, err
		}
	}
	if err := b.writeJSON(backupEnd, b.end); err != nil {
		return b.end, err
	}
	if err := b.tar.Close(); err != nil {
		return b.end, fmt.Errorf("ending the backup: %w", err)
	}
	return b.end, nil
}

func (b *Writer) writeJSON(name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	text = append(text, '\n')
	return b.writeEntry(name, int64(len(text)), bytes.NewReader(text))
}

func (b *Writer) writeEntry(name string, size int64, content io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: b.head.Created.Truncate(time.Second)}
	if err := b.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	buffer, release := transfer.UploadBuffers.Get(size)
	defer release()
	// The writer's own ReadFrom would take a buffer of its own each time.
	n, err := io.CopyBuffer(struct{ io.Writer }{b.tar}, struct{ io.Reader }{content}, buffer)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// LocatorSet remembers locators in about 30 bytes each, whatever their length, so
// that a million blobs take 30 MiB. Locators are random: that two have one key
// does not happen.
type LocatorSet map[[16]byte]struct{}

// Add adds a locator.
func (s LocatorSet) Add(l store.Locator) { s[locatorKey(l)] = struct{}{} }

// Has tells whether a locator was added.
func (s LocatorSet) Has(l store.Locator) bool {
	_, found := s[locatorKey(l)]
	return found
}

func locatorKey(l store.Locator) (key [16]byte) {
	sum := sha256.Sum256([]byte(l))
	copy(key[:], sum[:])
	return key
}

// ReadWritten returns what a function writes, to be read. Closing it waits for write
// to end.
func ReadWritten(write func(io.Writer) error) io.ReadCloser {
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = writer.CloseWithError(write(writer))
	}()
	return &written{reader, ended}
}

type written struct {
	*io.PipeReader
	ended <-chan struct{}
}

func (w *written) Close() error {
	err := w.PipeReader.Close()
	<-w.ended
	return err
}
