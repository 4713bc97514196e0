package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sampleBackup is a backup with some small blobs, and one that is large.
type sampleBackup struct {
	head     Head
	lines    []byte
	contents []string
	damaged  []DamagedBlob
}

func newSampleBackup(t testing.TB) *sampleBackup {
	b := &sampleBackup{contents: []string{"", "one", strings.Repeat("two", 500_000), "three"}}
	b.head = Head{Store: "store", Created: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)}
	for i, content := range b.contents {
		digest := store.Digest(sha256.Sum256([]byte(content)))
		change := store.Change{Operation: store.OperationPublish, File: fmt.Sprint("f", i), Digest: digest.String(), Size: int64(len(content)), Locator: b.locator(i)}
		b.Add(t, change)
		b.Add(t, store.Change{Operation: store.OperationDeleteFile, File: "other"})
	}
	return b
}

func (b *sampleBackup) Add(t testing.TB, change store.Change) {
	change.Sequence = b.head.Position.Sequence + 1
	b.lines, b.head.Position.Chain = appendChange(t, b.lines, b.head.Position.Chain, change)
	b.head.Position.Sequence++
}

func (b *sampleBackup) locator(i int) store.Locator {
	name := strings.NewReplacer("0", "a", "1", "b").Replace(fmt.Sprintf("%026o", i))
	return store.Locator("00000000/" + name)
}

// write writes the stream; order are the blobs, by number.
func (b *sampleBackup) write(t testing.TB, order ...int) []byte {
	t.Helper()
	var stream bytes.Buffer
	w, err := NewWriter(&stream, b.head)
	if err == nil {
		err = w.WriteLines(LinesName(b.head.Since.Sequence+1, b.head.Position.Sequence), b.lines)
	}
	for _, i := range order {
		if err == nil {
			err = w.WriteBlob(b.locator(i), int64(len(b.contents[i])), strings.NewReader(b.contents[i]))
		}
	}
	if err == nil {
		_, err = w.End(b.damaged)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

// read reads the stream as a restore does, and returns the contents that were given
// to write.
func (b *sampleBackup) read(t testing.TB, stream io.Reader) (contents []string, err error) {
	reader, err := NewReader(stream)
	if err != nil {
		return nil, err
	}
	var lines []byte
	for err == nil {
		var piece []byte
		piece, err = reader.NextLines()
		lines = append(lines, piece...)
	}
	if err != io.EOF {
		return nil, err
	}
	var mu sync.Mutex
	err = reader.CopyBlobs(t.Context(), bytes.NewReader(lines), func(_ context.Context, _ store.Blob, content io.Reader) error {
		text, err := io.ReadAll(content)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			contents = append(contents, string(text))
		}
		return err
	})
	slices.Sort(contents)
	return contents, err
}

func TestBackupStreamReadsBack(t *testing.T) {
	b := newSampleBackup(t)
	stream := b.write(t, 0, 1, 2, 3)
	for name, reader := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"in halves":    iotest.HalfReader(bytes.NewReader(stream)),
	} {
		got, err := b.read(t, reader)
		if want := slices.Sorted(slices.Values(b.contents)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %d contents, %v", name, len(got), err)
		}
	}
	reader, err := NewReader(bytes.NewReader(stream))
	want := b.head.Seal()
	if err != nil || reader.Head() != want {
		t.Errorf("head is %+v, %v; want %+v", reader.Head(), err, want)
	}
}

// TestBackupCanBeUnpackedWithTar holds the names that README and operators rely on.
func TestBackupCanBeUnpackedWithTar(t *testing.T) {
	b := newSampleBackup(t)
	b.damaged = []DamagedBlob{{Digest: store.Digest{1}, Problem: "missing"}}
	archive := tar.NewReader(bytes.NewReader(b.write(t, 1)))
	var names []string
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Mode != 0o600 || !header.ModTime.Equal(b.head.Created.Truncate(time.Second)) {
			t.Errorf("%s has mode %o and time %s", header.Name, header.Mode, header.ModTime)
		}
	}
	want := []string{"backup.json", "journal/0000000000000001-0000000000000008.jsonl", "blobs/" + string(b.locator(1)), "damaged.json", "end.json"}
	if !slices.Equal(names, want) {
		t.Errorf("entries are %q, want %q", names, want)
	}
}

// TestDamagedBlobsAreReadBack: as many as there are lines, each with much to say.
func TestDamagedBlobsAreReadBack(t *testing.T) {
	b := newSampleBackup(t)
	for i := range bytes.Count(b.lines, []byte("\n")) {
		b.damaged = append(b.damaged, DamagedBlob{Digest: store.Digest{byte(i)}, Problem: strings.Repeat("x", maxDamagedBlob/2)})
	}
	reader, err := NewReader(bytes.NewReader(b.write(t)))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = reader.NextLines()
	}
	if _, _, _, err = reader.NextBlob(); err != io.EOF || !slices.Equal(reader.Damaged(), b.damaged) {
		t.Errorf("got %d blobs, %v; want %d", len(reader.Damaged()), err, len(b.damaged))
	}
}

func TestBackupsThatAreRefused(t *testing.T) {
	change := func(change func(b *sampleBackup)) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			b := newSampleBackup(t)
			change(b)
			return b.write(t, 0, 1, 2, 3)
		}
	}
	ordered := func(order ...int) func(*testing.T) []byte {
		return func(t *testing.T) []byte { return newSampleBackup(t).write(t, order...) }
	}
	for _, test := range []struct {
		name   string
		stream func(t *testing.T) []byte
		want   error
	}{
		{"nothing", func(*testing.T) []byte { return nil }, store.ErrIncomplete},
		{"something else", func(*testing.T) []byte { return bytes.Repeat([]byte("something else"), 200) }, store.ErrDamaged},
		{"a tar of something else", func(t *testing.T) []byte { return tarOf(t, "README", "hello") }, store.ErrIncomplete},
		{"a head of something else", func(t *testing.T) []byte { return tarOf(t, "backup.json", "{}") }, store.ErrDamaged},
		{"a head without a sum", func(t *testing.T) []byte {
			return tarOf(t, "backup.json", fmt.Sprintf(`{"backup":%d,"store":"s"}`, BackupFormat))
		}, store.ErrDamaged},
		{"a head with a field more", func(t *testing.T) []byte { return tarOf(t, "backup.json", emptyHead[:len(emptyHead)-1]+`,"x":1}`) }, store.ErrDamaged},
		{"a newer format", func(t *testing.T) []byte {
			return tarOf(t, "backup.json", fmt.Sprintf(`{"backup":%d,"store":"s"}`, BackupFormat+1))
		}, store.ErrFormat},
		{"no end", func(t *testing.T) []byte { return tarOf(t, "backup.json", emptyHead) }, store.ErrIncomplete},
		{"an entry that nobody knows", func(t *testing.T) []byte { return tarOf(t, "backup.json", emptyHead, "x", "") }, store.ErrFormat},
		{"a head that ends before it begins", change(func(b *sampleBackup) { b.head.Since.Sequence = 9 }), store.ErrDamaged},
		{"a line of another content", change(func(b *sampleBackup) { b.lines[30] ^= 1 }), store.ErrDamaged},
		{"a line left out at the end", change(func(b *sampleBackup) { b.lines = b.lines[:bytes.LastIndexByte(b.lines[:len(b.lines)-1], '\n')+1] }), store.ErrDamaged},
		{"no lines", change(func(b *sampleBackup) { b.lines = nil }), store.ErrDamaged},
		{"another chain", change(func(b *sampleBackup) { b.head.Position.Chain[0] ^= 1 }), store.ErrIncomplete},
		{"another chain before", change(func(b *sampleBackup) { b.head.Since.Chain[0] ^= 1 }), store.ErrDamaged},
		{"a small blob of other bytes", change(func(b *sampleBackup) { b.contents[1] = "eno" }), store.ErrDamaged},
		{"a large blob of other bytes", change(func(b *sampleBackup) { b.contents[2] = "x" + b.contents[2][1:] }), store.ErrDamaged},
		{"a blob of another size", change(func(b *sampleBackup) { b.contents[1] += "!" }), store.ErrDamaged},
		{"blobs in another order", ordered(1, 0), store.ErrDamaged},
		{"a blob twice", ordered(0, 0), store.ErrDamaged},
		{"a blob that nothing names", func(t *testing.T) []byte {
			b := newSampleBackup(t)
			b.contents = append(b.contents, "unnamed")
			return b.write(t, 4)
		}, store.ErrDamaged},
		{"damaged blobs, of which no line speaks", change(func(b *sampleBackup) { b.damaged = make([]DamagedBlob, 9) }), store.ErrDamaged},
		{"a damaged blob with a long story", change(func(b *sampleBackup) {
			b.damaged = []DamagedBlob{{Problem: strings.Repeat("x", 2*maxDamagedBlob)}}
		}), store.ErrDamaged},
		{"damaged blobs that are no list", func(t *testing.T) []byte { return tarOf(t, "backup.json", emptyHead, "damaged.json", "{}") }, store.ErrDamaged},
		{"damaged blobs in two lists", func(t *testing.T) []byte { return tarOf(t, "backup.json", emptyHead, "damaged.json", "[][]") }, store.ErrDamaged},
		{"a list of damaged blobs that is cut", func(t *testing.T) []byte {
			stream := tarOf(t, "backup.json", emptyHead, "damaged.json", "["+strings.Repeat(" ", 1000)+"]")
			return stream[:bytes.Index(stream, []byte("damaged.json"))+600]
		}, store.ErrIncomplete},
		{"an entry after the end", func(t *testing.T) []byte {
			return tarOf(t, "backup.json", emptyHead, "end.json", emptyEnd, "journal/0000000000000001-0000000000000001.jsonl", "x")
		}, store.ErrDamaged},
		{"a second end", func(t *testing.T) []byte {
			return tarOf(t, "backup.json", emptyHead, "end.json", emptyEnd, "end.json", emptyEnd)
		}, store.ErrDamaged},
		{"a blob outside", func(t *testing.T) []byte {
			return tarOf(t, "backup.json", emptyHead, "blobs/../x", "")
		}, store.ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newSampleBackup(t)
			if contents, err := b.read(t, bytes.NewReader(test.stream(t))); !errors.Is(err, test.want) {
				t.Errorf("%d contents, error is %v, want %v", len(contents), err, test.want)
			}
		})
	}
}

// emptyHead is that of a backup of nothing.
var emptyHead = func() string {
	text, _ := json.Marshal(Head{Store: "s"}.Seal())
	return string(text)
}()

// emptyEnd is that of a backup of nothing.
var emptyEnd = func() string {
	text, _ := json.Marshal(End{})
	return string(text)
}()

func tarOf(t *testing.T, entries ...string) []byte {
	t.Helper()
	var stream bytes.Buffer
	archive := tar.NewWriter(&stream)
	for i := 0; i < len(entries); i += 2 {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: entries[i], Size: int64(len(entries[i+1]))})
		if err == nil {
			_, err = io.WriteString(archive, entries[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

func TestFailureOfABackupIsTold(t *testing.T) {
	b := newSampleBackup(t)
	var stream bytes.Buffer
	w, err := NewWriter(&stream, b.head)
	if err == nil {
		err = w.Fail(errors.New("the disk is on fire"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.read(t, &stream); !errors.Is(err, store.ErrIncomplete) || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("error is %v", err)
	}
}

// FuzzBackup: no stream makes a reader panic, run on for ever, or give out what its
// own lines do not name. Without workers, whose order would pass for new coverage.
func FuzzBackup(f *testing.F) {
	b := newSampleBackup(f)
	b.contents[2] = "" // small seeds
	stream := b.write(f, 0, 1, 3)
	f.Add(stream)
	f.Add(stream[:len(stream)/2])
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader, err := NewReader(bytes.NewReader(stream))
		if err != nil {
			return
		}
		var lines []byte
		for err == nil {
			var piece []byte
			piece, err = reader.NextLines()
			lines = append(lines, piece...)
		}
		if err != io.EOF {
			return
		}
		if at, err := jsonl.ReadLines(lines, reader.Head().Since, func(store.Change) error { return nil }); err != nil || at != reader.Head().Position {
			t.Fatalf("lines up to %+v, %v", at, err)
		}
		finder := &blobFinder{lines: bufio.NewReader(bytes.NewReader(lines))}
		for {
			locator, _, content, err := reader.NextBlob()
			if err != nil {
				return
			}
			if _, err := finder.find(locator); err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, io.LimitReader(content, 1<<20)); err != nil {
				return
			}
		}
	})
}

// errWrite is what a writer of a test fails with.
var errWrite = errors.New("writing failed")

// appendChange appends the line of a change that follows a chain.
func appendChange(t testing.TB, to []byte, previous store.Digest, change store.Change) ([]byte, store.Digest) {
	t.Helper()
	line, chain, err := jsonl.AppendLine(to, previous, change)
	if err != nil {
		t.Fatal(err)
	}
	return line, chain
}
