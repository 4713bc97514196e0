package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	// cleanupFiles of a deleted version are released in one operation, with three
	// records each.
	cleanupFiles  = 300
	cleanupWeight = 3*cleanupFiles + 2
)

// Condemned implements registry.MetadataStore. When nothing is condemned it
// releases files of deleted versions, a bounded number at a time, until something
// is or none are left.
func (s *Store) Condemned(ctx context.Context, limit int) ([]registry.Locator, error) {
	for {
		if err := firstError(func() error { return s.usable(ctx) }, func() error { return s.awaitStored(ctx) }); err != nil {
			return nil, err
		}
		locators, grave, found := s.remains(limit)
		if len(locators) > 0 || !found {
			return locators, nil
		}
		err := s.submit(ctx, cleanupWeight, func(b *batch) error { return b.emptyGrave(grave) })
		if errors.Is(err, registry.ErrDamaged) {
			// Its bytes stay; the graves behind it must not.
			s.log.Error("cleaning up a deleted version", slog.Uint64("id", grave), slog.Any("error", err))
			s.mu.Lock()
			s.graves = removeID(s.graves, grave)
			s.mu.Unlock()
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cleaning up a deleted version: %w", err)
		}
	}
}

// remains returns condemned locators, and the oldest grave.
func (s *Store) remains(limit int) (locators []registry.Locator, grave uint64, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for locator := range s.condemned {
		if len(locators) == limit {
			break
		}
		locators = append(locators, locator)
	}
	if len(s.graves) == 0 {
		return locators, 0, false
	}
	return locators, s.graves[0], true
}

// emptyGrave releases the next files of a deleted version.
func (b *batch) emptyGrave(id uint64) error {
	key := graveKey(id)
	var grave graveRecord
	if found, err := b.get(key, &grave); err != nil || !found {
		return orNotFound(err, nil)
	}
	files, err := b.filesAfter(id, grave.lastFile)
	if err != nil {
		return err
	}
	for _, file := range files {
		// Read one by one: two files may have the same blob.
		blob, err := b.referredBlob(file)
		if err != nil {
			return err
		}
		grave.lastFile = registry.Fold(file.name)
		b.state.sums.files -= scatter(file.id)
		b.delete(fileKey(id, file.name))
		b.release(file.digest, blob)
	}
	if len(files) == cleanupFiles {
		b.put(key, &grave)
		return nil
	}
	b.emptied = append(b.emptied, id)
	b.delete(key)
	return nil
}

func (b *batch) filesAfter(id uint64, last string) ([]fileRecord, error) {
	var files []fileRecord
	from := filesKey(id)
	if last != "" {
		from = fileKey(id, last)
	}
	err := b.scan(filesKey(id), from, func(key, value []byte) error {
		if len(files) == cleanupFiles {
			return errEnough
		}
		var file fileRecord
		if err := decode(key, value, &file); err != nil {
			return err
		}
		files = append(files, file)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return files, err
}

// Buried implements registry.MetadataStore.
func (s *Store) Buried(ctx context.Context, locators []registry.Locator) error {
	for chunk := range slices.Chunk(locators, batchWeight) {
		err := s.submit(ctx, len(chunk), func(b *batch) error {
			for _, locator := range chunk {
				b.delete(condemnedKey(locator))
			}
			b.buried = append(b.buried, chunk...)
			return nil
		})
		if err != nil {
			return fmt.Errorf("forgetting condemned locators: %w", err)
		}
	}
	return nil
}

// Unnamed implements registry.MetadataStore. Locators have no index: they are
// looked for in one scan of all blobs.
func (s *Store) Unnamed(ctx context.Context, locators []registry.Locator) ([]registry.Locator, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	unnamed := make(map[registry.Locator]struct{}, len(locators))
	for _, locator := range locators {
		unnamed[locator] = struct{}{}
	}
	// Uploads first: one that ends after this is in the snapshot that is read next.
	s.mu.Lock()
	for locator := range s.uploads {
		delete(unnamed, locator)
	}
	s.mu.Unlock()
	err := s.view(ctx, func(r reader) error {
		err := r.eachCondemned(func(locator registry.Locator) { delete(unnamed, locator) })
		if err != nil {
			return err
		}
		return r.scan([]byte(blobPrefix), nil, func(key, value []byte) error {
			var blob blobRecord
			if err := decode(key, value, &blob); err != nil {
				return err // no guessing about whose bytes these are
			}
			delete(unnamed, blob.locator)
			return ctx.Err()
		})
	})
	if err != nil {
		return nil, fmt.Errorf("looking for unnamed locators: %w", err)
	}
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	remaining := make([]registry.Locator, 0, len(unnamed))
	for locator := range unnamed {
		remaining = append(remaining, locator)
	}
	return remaining, nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// eachCondemned calls fn for each locator whose bytes are condemned.
func (r reader) eachCondemned(fn func(registry.Locator)) error {
	return r.scan([]byte(condemnedPrefix), nil, func(key, _ []byte) error {
		fn(registry.Locator(key[len(condemnedPrefix):]))
		return nil
	})
}

// graves returns the ids of deleted versions that have files left.
func (r reader) graves() (ids []uint64, err error) {
	err = r.scan([]byte(gravePrefix), nil, func(key, _ []byte) error {
		id, err := graveID(key)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// graveID reads the version id out of a grave's key.
func graveID(key []byte) (uint64, error) {
	rest := bytes.TrimPrefix(key, []byte(gravePrefix))
	if len(rest) != 8 {
		return 0, damaged(key, "length of key")
	}
	return binary.BigEndian.Uint64(rest), nil
}

func removeID(ids []uint64, id uint64) []uint64 {
	return slices.DeleteFunc(ids, func(other uint64) bool { return other == id })
}
