package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

var errInput = errors.New("input/output error")

// faultyBlobs fail to read some blobs, after so many bytes.
type faultyBlobs struct {
	store.BlobStore
	mu     sync.Mutex
	faults map[store.Locator]fault
}

type fault struct {
	after int
	err   error
}

func (b *faultyBlobs) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	content, err := b.BlobStore.Open(ctx, locator, size)
	b.mu.Lock()
	defer b.mu.Unlock()
	if fault, found := b.faults[locator]; found && err == nil {
		return &faultyContent{content, fault}, nil
	}
	return content, err
}

type faultyContent struct {
	io.ReadSeekCloser
	fault
}

func (c *faultyContent) Read(p []byte) (int, error) {
	if c.after == 0 {
		return 0, c.err
	}
	n, err := c.ReadSeekCloser.Read(p[:min(len(p), c.after)])
	c.after -= n
	return n, err
}

// backupTest is an idle registry in memory with blobs that can be made faulty.
type backupTest struct {
	testing.TB
	*registry.Registry
	metadata store.MetadataStore
	blobs    *faultyBlobs
}

func newBackupTest(t testing.TB, wrap func(store.MetadataStore) store.MetadataStore) *backupTest {
	metadata, err := memory.NewMetadata().Open()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := memory.NewBlobs().Open()
	if err != nil {
		t.Fatal(err)
	}
	b := &backupTest{TB: t, metadata: metadata, blobs: &faultyBlobs{BlobStore: blobs, faults: make(map[store.Locator]fault)}}
	if wrap != nil {
		metadata = wrap(metadata)
	}
	b.Registry = registry.New(metadata, b.blobs, registry.Options{Idle: true})
	t.Cleanup(func() {
		if err := b.Registry.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *backupTest) publish(name, content string) store.File {
	b.Helper()
	ref := store.Ref{VersionRef: store.VersionRef{Owner: "a", Package: "p", Version: "1"}, File: name}
	file, err := b.Publish(b.Context(), ref, "alice", registry.Content{Body: strings.NewReader(content), Size: int64(len(content))}, registry.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	return file
}

// restore restores a stream to memory.
func (b *backupTest) restore(stream []byte) (backup.RestoreSummary, error) {
	return backup.Restore(b.Context(), backup.RestoreTarget{Metadata: memory.NewMetadata(), Blobs: memory.NewBlobs(), Spool: b.TempDir()},
		backup.RestoreSource{Name: "backup", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stream)), nil }})
}

// TestUnreadableBytesEndABackup: small ones, and large ones in the middle.
func TestUnreadableBytesEndABackup(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "large": 900_000} {
		for _, after := range []int{0, 50} {
			b := newBackupTest(t, nil)
			file := b.publish("f", strings.Repeat("x", size))
			b.publish("sound", "sound")
			b.blobs.faults[file.Locator] = fault{after, errInput}
			var stream bytes.Buffer
			if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &stream); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s, after %d: %v", name, after, err)
			}
			if _, err := b.restore(stream.Bytes()); !errors.Is(err, store.ErrIncomplete) {
				t.Errorf("%s, after %d: restore: %v", name, after, err)
			}
			stream.Reset()
			made, err := backup.Make(t.Context(), b.Registry, backup.Options{SkipDamaged: true}, &stream)
			if err != nil || len(made.Damaged) != 1 || made.Damaged[0].Digest != file.Digest || !strings.Contains(made.Damaged[0].Problem, errInput.Error()) {
				t.Errorf("%s, after %d, going on: %+v, %v", name, after, made.Damaged, err)
			}
			restored, err := b.restore(stream.Bytes())
			if err != nil || restored.Blobs != 2 || len(restored.Missing) != 1 {
				t.Errorf("%s, after %d, going on: restored %+v, %v", name, after, restored, err)
			}
		}
	}
}

// TestAShortageIsNoDamage: a process without descriptors must not list every blob as
// damaged.
func TestAShortageIsNoDamage(t *testing.T) {
	for _, size := range []int{100, 900_000} {
		b := newBackupTest(t, nil)
		file := b.publish("f", strings.Repeat("x", size))
		b.blobs.faults[file.Locator] = fault{0, syscall.EMFILE}
		if made, err := backup.Make(t.Context(), b.Registry, backup.Options{}, io.Discard); !errors.Is(err, syscall.EMFILE) || errors.Is(err, store.ErrDamaged) {
			t.Errorf("backup is %+v, %v", made, err)
		}
	}
}

// TestABackupEndsWithItsReader: nothing is held after that.
func TestABackupEndsWithItsReader(t *testing.T) {
	b := newBackupTest(t, nil)
	files := []store.File{b.publish("small", "small"), b.publish("large", strings.Repeat("x", 900_000))}
	var whole bytes.Buffer
	if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &whole); err != nil {
		t.Fatal(err)
	}
	for limit := 0; limit < whole.Len(); limit += 20_000 {
		if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &limitedWriter{left: limit}); !errors.Is(err, errInput) {
			t.Fatalf("a reader that goes after %d bytes: %v", limit, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	stops := &limitedWriter{left: 2000, full: cancel}
	if _, err := backup.Make(ctx, b.Registry, backup.Options{}, io.MultiWriter(stops)); err == nil {
		t.Error("a backup whose context ended is made")
	}
	for _, file := range files {
		if err := b.DeleteFile(t.Context(), file.Ref, store.Act{User: "alice"}); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := b.Reap(t.Context()); removed != 2 || err != nil {
		t.Errorf("%d are reaped, %v", removed, err)
	}
}

type limitedWriter struct {
	left int
	full func()
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left >= 0 {
		return len(p), nil
	}
	if w.full != nil {
		w.full()
		return len(p), nil
	}
	return 0, errInput
}

// otherJournal gives other lines than it was asked for.
type otherJournal struct {
	store.MetadataStore
	read readJournal
}

type readJournal func(ctx context.Context, from store.Snapshot, after, to uint64, w io.Writer) error

func (o *otherJournal) Snapshot(ctx context.Context) (store.Snapshot, error) {
	taken, err := o.MetadataStore.(store.Journaled).Snapshot(ctx)
	return &otherLines{taken, o.read}, err
}

func (o *otherJournal) Check(context.Context, func(string)) error { return nil }

type otherLines struct {
	store.Snapshot
	read readJournal
}

func (o *otherLines) ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error {
	return o.read(ctx, o.Snapshot, after, to, w)
}

// TestABackupBelievesNoJournal: lines that are not those up to the snapshot are found
// while they are read, whatever the store says of them.
func TestABackupBelievesNoJournal(t *testing.T) {
	for name, read := range map[string]readJournal{
		"too few": func(ctx context.Context, j store.Snapshot, after, to uint64, w io.Writer) error {
			return j.ReadJournal(ctx, after, to-1, w)
		},
		"none": func(context.Context, store.Snapshot, uint64, uint64, io.Writer) error { return nil },
		"too late": func(ctx context.Context, j store.Snapshot, after, to uint64, w io.Writer) error {
			return j.ReadJournal(ctx, after+1, to, w)
		},
		"changed": func(ctx context.Context, j store.Snapshot, after, to uint64, w io.Writer) error {
			var lines bytes.Buffer
			err := j.ReadJournal(ctx, after, to, &lines)
			_, _ = w.Write(bytes.Replace(lines.Bytes(), []byte("alice"), []byte("mally"), 1))
			return err
		},
		"an error": func(context.Context, store.Snapshot, uint64, uint64, io.Writer) error { return store.ErrDamaged },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackupTest(t, func(metadata store.MetadataStore) store.MetadataStore { return &otherJournal{metadata, read} })
			b.publish("f", "f")
			b.publish("g", "g")
			var stream bytes.Buffer
			if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &stream); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("error is %v", err)
			}
			if _, err := b.restore(stream.Bytes()); !errors.Is(err, store.ErrIncomplete) || !strings.Contains(err.Error(), "making it failed") {
				t.Errorf("restore: %v", err)
			}
		})
	}
}

// plainStore keeps no journal.
type plainStore struct{ store.MetadataStore }

func TestNoBackupWithoutAJournal(t *testing.T) {
	b := newBackupTest(t, func(metadata store.MetadataStore) store.MetadataStore { return plainStore{metadata} })
	if _, err := backup.Make(t.Context(), b.Registry, backup.Options{}, io.Discard); !errors.Is(err, store.ErrNoJournal) {
		t.Errorf("backup: %v", err)
	}
	var plain struct{ store.MetadataBackend }
	if _, err := backup.Restore(t.Context(), backup.RestoreTarget{Metadata: plain}); !errors.Is(err, store.ErrNoJournal) {
		t.Errorf("restore: %v", err)
	}
}

// TestManyNamesOfOneContent are one blob in a backup, and lines beyond what is read
// at once are all there.
func TestManyNamesOfOneContent(t *testing.T) {
	b := newBackupTest(t, nil)
	const files = 5_000
	for i := range files {
		b.publish(fmt.Sprint("f", i), "the same")
	}
	var stream bytes.Buffer
	made, err := backup.Make(t.Context(), b.Registry, backup.Options{}, &stream)
	if err != nil || made.Lines != files || made.Blobs != 1 {
		t.Errorf("backup has %+v, %v", made, err)
	}
	if restored, err := b.restore(stream.Bytes()); err != nil || restored.Position.Sequence != files || restored.Blobs != 1 {
		t.Errorf("restored is %+v, %v", restored, err)
	}
}
