package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// restoreTest is a place to restore to, whose parts fail where told.
type restoreTest struct {
	testing.TB
	*memory.Metadata
	blobs                         *memory.Blobs
	imported                      int
	importErr, openErr, createErr error
	commitErr                     error
	otherPosition                 bool
	progress                      []backup.RestoreProgress
	spool                         string
	opened                        bool // OpenBlobs was called
}

func newRestoreTest(t testing.TB) *restoreTest {
	return &restoreTest{TB: t, Metadata: memory.NewMetadata(), blobs: memory.NewBlobs(), spool: t.TempDir()}
}

func (r *restoreTest) ImportJournal(ctx context.Context, root, id string, lines io.Reader, log *slog.Logger) error {
	r.imported++
	if r.importErr != nil {
		return r.importErr
	}
	return r.Metadata.ImportJournal(ctx, root, id, lines, log)
}

func (r *restoreTest) OpenMetadata(ctx context.Context, root string, log *slog.Logger) (store.MetadataStore, error) {
	if r.openErr != nil {
		return nil, r.openErr
	}
	metadata, err := r.Metadata.OpenMetadata(ctx, root, log)
	if r.otherPosition && err == nil {
		metadata = elsewhere{metadata}
	}
	return metadata, err
}

// elsewhere is at no position of a journal.
type elsewhere struct{ store.MetadataStore }

func (elsewhere) Condition() store.Condition { return store.Condition{Readable: true} }

func (r *restoreTest) OpenBlobs(context.Context, string, *slog.Logger) (store.BlobStore, error) {
	r.opened = true
	blobs, err := r.blobs.Open()
	return failingBlobs{blobs, r}, err
}

type failingBlobs struct {
	store.BlobStore
	r *restoreTest
}

func (b failingBlobs) CreateAt(ctx context.Context, locator store.Locator, size int64) (store.BlobWriter, error) {
	if b.r.createErr != nil {
		return nil, b.r.createErr
	}
	writer, err := b.BlobStore.CreateAt(ctx, locator, size)
	return failingWriter{writer, b.r}, err
}

type failingWriter struct {
	store.BlobWriter
	r *restoreTest
}

func (w failingWriter) Commit(ctx context.Context) (store.Locator, error) {
	if w.r.commitErr != nil {
		return "", w.r.commitErr
	}
	return w.BlobWriter.Commit(ctx)
}

func (r *restoreTest) restore(streams ...[]byte) (backup.RestoreSummary, error) {
	var sources []backup.RestoreSource
	for _, stream := range streams {
		sources = append(sources, backup.RestoreSource{Name: "backup", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stream)), nil }})
	}
	return r.restoreSources(sources...)
}

func (r *restoreTest) restoreSources(sources ...backup.RestoreSource) (backup.RestoreSummary, error) {
	summary, err := backup.Restore(r.Context(), backup.RestoreTarget{
		Metadata: r, Blobs: r, Spool: r.spool, Progress: func(p backup.RestoreProgress) { r.progress = append(r.progress, p) },
	}, sources...)
	r.wantMark(err)
	return summary, err
}

// wantMark wants the mark of half a restore to be left by one that failed once there was
// something to mark, and nothing to be left otherwise.
func (r *restoreTest) wantMark(restored error) {
	r.Helper()
	mark := filepath.Join(r.spool, backup.RestoreMark)
	_, err := os.Stat(mark)
	if got, want := err == nil, restored != nil && r.opened; got != want {
		r.Errorf("after %v the mark is there: got %v, want %v", restored, got, want)
	}
	if err := os.RemoveAll(mark); err != nil {
		r.Fatal(err)
	}
	if entries, err := os.ReadDir(r.spool); err != nil || len(entries) > 0 {
		r.Errorf("other files are left: got %v (%v), want none", entries, err)
	}
}

// sampleStream is a full backup of three files, with its head.
func sampleStream(t testing.TB) ([]byte, backup.Head) {
	t.Helper()
	b := newBackupTest(t, nil)
	b.publish("small", "small")
	b.publish("large", strings.Repeat("large", 200_000))
	b.publish("again", "small")
	var stream bytes.Buffer
	if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &stream); err != nil {
		t.Fatal(err)
	}
	reader, err := backup.NewReader(bytes.NewReader(stream.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return stream.Bytes(), reader.Head()
}

// emptyIncrement is a backup of no change since a position.
func emptyIncrement(t testing.TB, id string, at store.Position) []byte {
	t.Helper()
	var stream bytes.Buffer
	w, err := backup.NewWriter(&stream, backup.Head{Store: id, Since: at, Position: at})
	if err == nil {
		_, err = w.End(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

func TestRestoreTellsWhatItDid(t *testing.T) {
	stream, head := sampleStream(t)
	r := newRestoreTest(t)
	summary, err := r.restore(stream, emptyIncrement(t, head.Store, head.Position))
	if err != nil || summary.Store != head.Store || summary.Position != head.Position || summary.Blobs != 2 || summary.Bytes != 1_000_005 || summary.Missing != nil {
		t.Errorf("summary is %+v, %v", summary, err)
	}
	last := r.progress[len(r.progress)-1]
	if first := r.progress[2]; len(r.progress) != 4 || first.Blobs != 2 || first.Bytes != 1_000_005 || first.Source != "backup" ||
		first.Expected != (backup.Totals{Blobs: 2, Bytes: 1_000_005}) || last != (backup.RestoreProgress{Source: "backup"}) {
		t.Errorf("progress: got %+v, want two blobs of two, and nothing of the increment", r.progress)
	}
}

// TestNothingCountsBeforeTheJournal: whatever fails before, no journal is imported.
func TestNothingCountsBeforeTheJournal(t *testing.T) {
	stream, head := sampleStream(t)
	for name, test := range map[string]struct {
		spoil   func(*restoreTest)
		streams [][]byte
		want    error
	}{
		"no room for a blob":            {func(r *restoreTest) { r.createErr = store.ErrNoSpace }, [][]byte{stream}, store.ErrNoSpace},
		"a blob that cannot be synced":  {func(r *restoreTest) { r.commitErr = errInput }, [][]byte{stream}, errInput},
		"an increment of another store": {func(*restoreTest) {}, [][]byte{stream, emptyIncrement(t, "other", head.Position)}, store.ErrNotContinued},
		"a cut increment":               {func(*restoreTest) {}, [][]byte{stream, emptyIncrement(t, head.Store, head.Position)[:1500]}, store.ErrIncomplete},
		"no directory for the lines":    {func(r *restoreTest) { r.spool += "/none" }, [][]byte{stream}, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRestoreTest(t)
			spool := r.spool
			test.spoil(r)
			_, err := backup.Restore(t.Context(), backup.RestoreTarget{Metadata: r, Blobs: r, Spool: r.spool}, sourcesOf(test.streams)...)
			if !errors.Is(err, test.want) || r.imported > 0 {
				t.Errorf("error is %v, want %v; %d imports", err, test.want, r.imported)
			}
			r.spool, r.createErr, r.commitErr = spool, nil, nil
			if _, err := r.restore(stream); err != nil { // both stores were closed
				t.Errorf("again, with nothing in the way: %v", err)
			}
		})
	}
}

func sourcesOf(streams [][]byte) (sources []backup.RestoreSource) {
	for _, stream := range streams {
		sources = append(sources, backup.RestoreSource{Name: "backup", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stream)), nil }})
	}
	return sources
}

func TestRestoreLooksAtWhatItMade(t *testing.T) {
	stream, head := sampleStream(t)
	for name, test := range map[string]struct {
		spoil func(*restoreTest)
		want  error
	}{
		"a journal that is not taken":    {func(r *restoreTest) { r.importErr = store.ErrFormat }, store.ErrFormat},
		"a store that does not open":     {func(r *restoreTest) { r.openErr = errInput }, errInput},
		"a store that is somewhere else": {func(r *restoreTest) { r.otherPosition = true }, store.ErrDamaged},
	} {
		r := newRestoreTest(t)
		test.spoil(r)
		if _, err := r.restore(stream); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A backup without a blob that its lines need, and that does not say so.
	var without bytes.Buffer
	w, err := backup.NewWriter(&without, backup.Head{Store: head.Store, Position: head.Position})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := backup.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := reader.NextLines()
	if err == nil {
		err = w.WriteLines(backup.LinesName(1, head.Position.Sequence), lines)
	}
	if err == nil {
		_, err = w.End(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if summary, err := newRestoreTest(t).restore(without.Bytes()); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "no backup has the bytes") {
		t.Errorf("restored is %+v, %v", summary, err)
	}
	r := newRestoreTest(t)
	fails := backup.RestoreSource{Name: "fails", Open: func() (io.ReadCloser, error) { return nil, errInput }}
	if _, err := r.restoreSources(fails); !errors.Is(err, errInput) || !strings.Contains(err.Error(), "restoring fails") {
		t.Errorf("a source that cannot be opened: %v", err)
	}
}
