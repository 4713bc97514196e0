package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// JournaledPlace is a place for both halves of a registry of which backups are made.
type JournaledPlace struct {
	Root string
	// Metadata is a JournalBackend or an Importer, but for CatalogModel.
	Metadata store.MetadataBackend
	Blobs    store.BlobBackend
}

// Backup runs what backups and their restore promise, over places that are fresh
// and empty, of a store that keeps a journal, or of an Exporter.
func Backup(t *testing.T, place func(t testing.TB) JournaledPlace) {
	runBackup(t, place, map[string]func(*backupFixture){
		"what was backed up is restored":                      backupRestored,
		"every kind of change is restored":                    backupOfEveryChange,
		"under publishes and deletes it is as of one moment":  backupConsistent,
		"one that was cut anywhere is refused":                backupCut,
		"a flipped bit never restores something else":         backupFlipped,
		"what is deleted meanwhile keeps its bytes that long": backupHoldsBytes,
		"damaged bytes end it":                                backupDamaged,
		"damaged bytes can be left out":                       backupSkipsDamaged,
		"no server takes half a restore for its own":          backupHalfRestored,
	})
}

// Increments runs what backups promise that continue others, of stores that keep a journal.
func Increments(t *testing.T, place func(t testing.TB) JournaledPlace) {
	runBackup(t, place, map[string]func(*backupFixture){
		"increments continue each other":                       backupIncrements,
		"increments in a wrong order or of others are refused": backupWrongOrder,
		"there is no going on from another history":            backupOtherHistory,
	})
}

// Told runs what is promised of a store that tells all that it has.
func Told(t *testing.T, place func(t testing.TB) JournaledPlace) {
	runBackup(t, place, map[string]func(*backupFixture){
		"ids, times, drafts, downloads and tokens are what they were": toldRestored,
		"of nothing, and of nothing but tokens":                       toldNothing,
	})
}

// Importing runs what an Importer promises besides, and a Holder.
func Importing(t *testing.T, place func(t testing.TB) JournaledPlace) {
	runBackup(t, place, map[string]func(*backupFixture){
		"what no store tells is refused, and nothing is there":    toldRefused,
		"a backup cannot go on from another":                      toldIsFull,
		"other processes reclaim nothing that a backup reads":     toldHoldsElsewhere,
		"nothing is made over what is there, or while it is open": toldOverOthers,
	})
}

func runBackup(t *testing.T, place func(t testing.TB) JournaledPlace, tests map[string]func(*backupFixture)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newBackupFixture(t, place)) })
			goleak.VerifyNone(t, before)
		})
	}
}

// backupFixture is a registry that is backed up, and knows all names that were ever
// in it.
type backupFixture struct {
	*pairFixture
	place func(t testing.TB) JournaledPlace
}

func newBackupFixture(t testing.TB, place func(t testing.TB) JournaledPlace) *backupFixture {
	return &backupFixture{newPairFixtureAt(t, place(t)), place}
}

// keepsJournal tells whether a backup can go on from another.
func (f *backupFixture) keepsJournal() bool {
	_, keeps := f.metadata.(store.Journaled)
	return keeps
}

// goOn makes the next of some backups that continue each other: a full one in the place of all
// where there are no others.
func (f *backupFixture) goOn(streams ...[]byte) [][]byte {
	f.Helper()
	if len(streams) == 0 || !f.keepsJournal() {
		return [][]byte{f.backup(store.Position{})}
	}
	return append(streams, f.backup(f.readBackup(streams[len(streams)-1]).head.Position))
}

var quietLog = slog.New(slog.DiscardHandler)

func newPairFixtureAt(t testing.TB, at JournaledPlace) *pairFixture {
	return newPairFixture(t,
		func(t testing.TB) func() (store.MetadataStore, error) {
			return func() (store.MetadataStore, error) {
				return at.Metadata.OpenMetadata(context.Background(), at.Root, quietLog)
			}
		},
		func(t testing.TB) func() (store.BlobStore, error) {
			return func() (store.BlobStore, error) { return at.Blobs.OpenBlobs(context.Background(), at.Root, quietLog) }
		})
}

// backup makes a backup that must succeed, and reads it back.
func (f *backupFixture) backup(since store.Position) []byte {
	f.Helper()
	var stream bytes.Buffer
	made, err := backup.Make(context.Background(), f.Registry, backup.Options{Since: since}, &stream)
	f.noError(err)
	read := f.readBackup(stream.Bytes())
	if read.end != made.End || read.head.Since != since || read.head.Store != f.metadata.ID() {
		f.Fatalf("the backup has %+v since %+v of %s, made was %+v", read.end, read.head.Since, read.head.Store, made)
	}
	return stream.Bytes()
}

// backupText is a backup in memory.
type backupText struct {
	head  backup.Head
	lines []byte
	blobs map[store.Locator]string
	end   backup.End
}

func (f *backupFixture) readBackup(stream []byte) (text backupText) {
	f.Helper()
	reader, err := backup.NewReader(bytes.NewReader(stream))
	f.noError(err)
	text.head, text.blobs = reader.Head(), make(map[store.Locator]string)
	for {
		lines, err := reader.NextLines()
		if errors.Is(err, io.EOF) {
			break
		}
		f.noError(err)
		text.lines = append(text.lines, lines...)
	}
	for {
		locator, _, content, err := reader.NextBlob()
		if errors.Is(err, io.EOF) {
			break
		}
		f.noError(err)
		bytes, err := io.ReadAll(content)
		f.noError(err)
		if _, twice := text.blobs[locator]; twice {
			f.Fatalf("blob %s is there twice", locator)
		}
		text.blobs[locator] = string(bytes)
	}
	text.end = reader.End()
	return text
}

// restore restores backups to a place of their own.
func (f *backupFixture) restore(at JournaledPlace, streams ...[]byte) (backup.RestoreSummary, error) {
	var sources []backup.RestoreSource
	for i, stream := range streams {
		sources = append(sources, backup.RestoreSource{Name: numbered(i), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(stream)), nil
		}})
	}
	return backup.Restore(context.Background(), backup.RestoreTarget{
		Root: at.Root, Metadata: at.Metadata, Blobs: at.Blobs, Spool: f.TempDir(), Log: quietLog,
	}, sources...)
}

func (f *backupFixture) mustRestore(streams ...[]byte) *pairFixture {
	f.Helper()
	at := f.place(f)
	summary, err := f.restore(at, streams...)
	f.noError(err)
	if last := f.readBackup(streams[len(streams)-1]).head; summary.Position != last.Position || summary.Store != last.Store || len(summary.Missing) > 0 {
		f.Fatalf("restored is %+v, of %+v", summary, last)
	}
	return newPairFixtureAt(f, at)
}

// history is what the lines of backups say, replayed on a plain map, with every name
// that they have.
type history struct {
	files map[store.Ref]store.Change
	names map[store.Ref]bool
}

func (f *backupFixture) history(streams ...[]byte) history {
	f.Helper()
	h := history{make(map[store.Ref]store.Change), make(map[store.Ref]bool)}
	var at store.Position
	var version store.Change // that a checkpoint told last
	for _, stream := range streams {
		var err error
		at, err = jsonl.ReadLines(f.readBackup(stream).lines, at, func(change store.Change) error {
			key := ref(change.Owner, change.Package, change.Version, change.File).Key()
			switch change.Operation {
			case store.OperationVersion:
				version = change
			case store.OperationPublish:
				if version.ID == change.VersionID && change.ID < version.Released {
					change.Time = version.Time
				}
				h.files[key], h.names[key] = change, true
			case store.OperationDeleteFile:
				delete(h.files, key)
			case store.OperationDeleteVersion:
				maps.DeleteFunc(h.files, func(file store.Ref, _ store.Change) bool { return file.VersionRef == key.VersionRef })
			case store.OperationDeletePackage:
				maps.DeleteFunc(h.files, func(file store.Ref, _ store.Change) bool {
					return file.Owner == key.Owner && file.Package == key.Package
				})
			case store.OperationPublishDraft:
				for file, published := range h.files {
					if file.VersionRef == key.VersionRef {
						published.Draft, published.Time = false, change.Time
						h.files[file] = published
					}
				}
			}
			return nil
		})
		f.noError(err)
	}
	return h
}

// want compares a registry with a history: every file of it with its bytes, and no
// other of its names.
func (h history) want(f *pairFixture) {
	f.Helper()
	for key := range h.names {
		want, there := h.files[key]
		got, err := f.Lookup(context.Background(), key)
		if want.Draft {
			f.wantError(err, store.ErrPackageNotFound)
			got, err = f.LookupDraft(context.Background(), key)
		}
		if !there {
			if !errors.Is(err, store.ErrFileNotFound) && !errors.Is(err, store.ErrPackageNotFound) {
				f.Errorf("%v should not be there: %v", key, err)
			}
			continue
		}
		f.noError(err)
		if got.Digest.String() != want.Digest || got.Creator != want.User || !got.Created.Equal(want.Time) || got.Ref.File != want.File {
			f.Errorf("%v is %+v, want %+v", key, got, want)
		}
		if size, err := f.blobs.Stat(context.Background(), got.Locator); err != nil || size != want.Size {
			f.Errorf("%v has %d bytes, want %d: %v", key, size, want.Size, err)
		}
		if want.Draft {
			continue
		}
		if _, err := f.read(key); err != nil {
			f.Errorf("%v: %v", key, err)
		}
	}
	f.noError(f.metadata.(store.Checked).Check(context.Background(), func(problem string) { f.Errorf("check: %s", problem) }))
}

// churn publishes and deletes at random.
func (f *backupFixture) churn(client, steps int) error {
	random := rand.New(rand.NewPCG(uint64(client), 3))
	for range steps {
		r := ref("owner", fmt.Sprint("p", client), fmt.Sprint(random.IntN(3)), fmt.Sprint("F", random.IntN(5)))
		var err error
		switch random.IntN(6) {
		case 0:
			err = f.DeleteVersion(context.Background(), r.VersionRef, store.Act{User: "bob"})
		case 1, 2:
			err = f.DeleteFile(context.Background(), r, store.Act{User: "bob"})
		default:
			err = f.publish(r, strings.Repeat(fmt.Sprint(random.IntN(50)), 1+random.IntN(3)*20_000))
		}
		if err != nil && !slices.ContainsFunc([]error{store.ErrExists, store.ErrFileNotFound, store.ErrPackageNotFound}, func(known error) bool { return errors.Is(err, known) }) {
			return err
		}
	}
	return nil
}
