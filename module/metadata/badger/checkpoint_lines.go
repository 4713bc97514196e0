package badger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// tellPage is about how many records of a checkpoint are in memory at once.
const tellPage = 1_000

// teller tells what there is as the lines of a checkpoint: versions in the order of their
// keys, each followed by its files, then tokens. It reads a snapshot in pages, so that
// nobody waits for it.
type teller struct {
	state   stateRecord
	version []byte // where the versions that are left begin; nil is the first
	file    []byte // the last file of the version at that key that was told; nil is none
	token   []byte // as version
	blob    []byte // as version
	phase   int
	told    sums // what was met on the way, deleted versions' files too
	page    []store.Change
}

// tellAll calls tell for every record that a view can read, whose pages it is asked for.
// errDatabase when they are not those that the database has counted.
func tellAll(ctx context.Context, state stateRecord, view func(func(reader) error) error, tell func(store.Change) error) error {
	t := &teller{state: state}
	for done := false; !done; {
		err := view(func(r reader) (err error) {
			done, err = t.next(ctx, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, change := range t.page {
			if err := tell(change); err != nil {
				return err
			}
		}
	}
	if t.told != state.sums {
		return fmt.Errorf("%w: what there is does not add up to what was counted", errDatabase)
	}
	return nil
}

// next reads the next page, and tells whether it is the last.
func (t *teller) next(ctx context.Context, r reader) (done bool, err error) {
	t.page = t.page[:0]
	for _, step := range []func(context.Context, reader) error{t.versions, t.tokens, t.graves, t.blobs}[t.phase:] {
		err := step(ctx, r)
		if errors.Is(err, errEnough) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		t.phase++
	}
	return true, nil
}

// withFiles has files read, of one version after the other: an iterator for each costs more
// than reading it. Its errors are those of scan.
func withFiles(r reader, read func(*badger.Iterator) error) error {
	options := badger.DefaultIteratorOptions
	options.Prefix = []byte(filePrefix)
	options.PrefetchValues = false
	var ended error
	err := r.db.touch(func() error {
		files := r.txn.NewIterator(options)
		defer files.Close()
		ended = read(files)
		return nil
	})
	return cmp.Or(ended, err)
}

func (t *teller) versions(ctx context.Context, r reader) error {
	tombs := graveCursor{reader: r, prefix: tombPrefix}
	return withFiles(r, func(files *badger.Iterator) error {
		return r.scan([]byte(versionPrefix), t.version, func(key, value []byte) error {
			var version versionRecord
			if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &version) }); err != nil {
				return err
			}
			if !bytes.Equal(key, t.version) { // else it was begun in the page before
				t.version, t.file = bytes.Clone(key), nil
			}
			dead, err := tombs.hasKey(versionPrefix, key)
			if err != nil {
				return err
			}
			if t.file == nil {
				t.told.versions += scatter(version.id)
			}
			if dead {
				return t.countFiles(ctx, files, version.id)
			}
			if t.file == nil {
				change := version.change()
				packageID, _ := keyID(versionPrefix, key) // hasKey has read it
				change.PackageID = int64(packageID)
				t.page = append(t.page, change)
			}
			if err := t.files(r, files, version); err != nil {
				return err
			}
			t.version, t.file = append(t.version, 0), nil
			return t.enough()
		})
	})
}

func (t *teller) enough() error {
	if len(t.page) < tellPage {
		return nil
	}
	return errEnough
}

// files tells those of a version that are left.
func (t *teller) files(r reader, files *badger.Iterator, version versionRecord) error {
	prefix := filesKey(version.id)
	from := prefix
	if t.file != nil {
		from = append(t.file, 0)
	}
	for files.Seek(from); files.ValidForPrefix(prefix); files.Next() {
		item := files.Item()
		var file fileRecord
		if err := item.Value(func(value []byte) error { return coding.Decode(item.Key(), value, &file) }); err != nil {
			return err
		}
		var blob blobRecord
		if found, err := r.get(blobKey(file.digest), &blob); err != nil || !found {
			return orNotFound(err, fmt.Errorf("%w: file has no blob, digest %s", errDatabase, file.digest))
		}
		shown := published(version, file, blob)
		change := store.PublishChange(shown.Ref, shown)
		change.Time, change.VersionID, change.Draft = file.created, int64(version.id), version.draft
		change.Downloads, change.Downloaded = int64(file.downloads.count), store.TimeOrNil(file.downloads.last)
		t.told.files += scatter(file.id)
		t.page = append(t.page, change)
		t.file = item.KeyCopy(t.file[:0])
		if err := t.enough(); err != nil {
			return err
		}
	}
	return nil
}

// change is what a checkpoint says of a version.
func (v *versionRecord) change() store.Change {
	return store.Change{
		Operation: store.OperationVersion, Time: v.created, User: v.creator,
		Owner: v.owner, Package: v.name, Version: v.version, ID: int64(v.id), Rank: v.rank,
		Draft: v.draft, Released: int64(v.released),
		Downloads: int64(v.downloads.count), Downloaded: store.TimeOrNil(v.downloads.last),
	}
}

func (t *teller) tokens(ctx context.Context, r reader) error {
	return r.scan([]byte(tokenPrefix), t.token, func(key, value []byte) error {
		var token tokenRecord
		if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &token) }); err != nil {
			return err
		}
		t.told.tokens += scatterText(token.token.ID)
		t.page = append(t.page, grant.CreateChange(token.token, token.secret))
		t.token = append(bytes.Clone(key), 0)
		return t.enough()
	})
}

// graves tells nothing: a checkpoint has no deleted versions. Their files are counted.
func (t *teller) graves(ctx context.Context, r reader) error {
	return withFiles(r, func(files *badger.Iterator) error {
		return r.scan([]byte(gravePrefix), nil, func(key, _ []byte) error {
			id, err := keyID(gravePrefix, key)
			if err != nil {
				return err
			}
			return t.countFiles(ctx, files, id)
		})
	})
}

// countFiles counts the files of a version that is told no more.
func (t *teller) countFiles(ctx context.Context, files *badger.Iterator, id uint64) error {
	for files.Seek(filesKey(id)); files.ValidForPrefix(filesKey(id)); files.Next() {
		var file fileRecord
		item := files.Item()
		err := firstError(ctx.Err, func() error {
			return item.Value(func(value []byte) error { return coding.Decode(item.Key(), value, &file) })
		})
		if err != nil {
			return err
		}
		t.told.files += scatter(file.id)
	}
	return nil
}

// blobs tells nothing: files say where their bytes are. Blobs are counted, so that no
// older record of one, which came back, gets into a checkpoint.
func (t *teller) blobs(ctx context.Context, r reader) error {
	read := 0
	return r.scan([]byte(blobPrefix), t.blob, func(key, value []byte) error {
		var blob blobRecord
		if err := firstError(ctx.Err, func() error { return coding.Decode(key, value, &blob) }); err != nil {
			return err
		}
		t.told.blobs += scatterText(string(blob.locator))
		t.blob = append(bytes.Clone(key), 0)
		if read++; read < tellPage {
			return nil
		}
		return errEnough
	})
}
