package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// cleanupFiles of a deleted version are released in one operation, with three
	// records each.
	cleanupFiles  = 300
	cleanupWeight = 3*cleanupFiles + 2

	// cleanupSteps is how many such operations a call makes, of Reclaim when there are locators.
	cleanupSteps = 200

	// cleanupVersions of a deleted package are deleted in one operation, with five records
	// each.
	cleanupVersions = cleanupWeight / 5
)

// Reclaim implements store.MetadataStore. Between two looks at what is condemned it makes as
// many operations as may release what there is room for.
func (s *Store) Reclaim(ctx context.Context, limit int) ([]store.Locator, error) {
	s.reaping.Lock()
	defer s.reaping.Unlock()
	view := func(read func(reader) error) error { return s.view(ctx, read) }
	limit = min(limit, backlogSize) // no more are in memory
	for steps := 0; ; {
		if err := firstError(func() error { return s.usable(ctx) }, func() error { return s.awaitPersisted(ctx) }); err != nil {
			return nil, err
		}
		suffixes, err := s.condemned.next(limit, view)
		if err != nil {
			return nil, fmt.Errorf("listing condemned locators: %w", err)
		}
		room := limit - len(suffixes)
		if room <= 0 || len(suffixes) > 0 && steps >= cleanupSteps {
			return locatorsOf(suffixes), nil
		}
		made, err := s.emptySome(ctx, room/cleanupFiles+1, view)
		if err != nil || made == 0 {
			return locatorsOf(suffixes), err
		}
		steps += made
	}
}

// CleanUp implements store.MetadataStore.
func (s *Store) CleanUp(ctx context.Context) (more bool, err error) {
	s.reaping.Lock()
	defer s.reaping.Unlock()
	if err := firstError(func() error { return s.usable(ctx) }, func() error { return s.awaitPersisted(ctx) }); err != nil {
		return false, err
	}
	made, err := s.emptySome(ctx, cleanupSteps, func(read func(reader) error) error { return s.view(ctx, read) })
	return made > 0, err
}

// emptySome empties at most so many deleted versions, or else a deleted package, and tells how
// many there were. The files of a version that cannot be read stay, and do not keep those of
// others.
func (s *Store) emptySome(ctx context.Context, most int, view func(func(reader) error) error) (made int, err error) {
	for _, kind := range []struct {
		what    string
		waiting *backlog
		most    int
		step    func(*batch, uint64) (emptied bool, err error)
	}{
		{"a deleted version", &s.graves, most, (*batch).emptyGrave},
		{"a deleted package", &s.tombs, 1, (*batch).emptyTomb},
	} {
		suffixes, err := kind.waiting.next(kind.most, view)
		if err != nil {
			return 0, fmt.Errorf("looking for %s: %w", kind.what, err)
		}
		for _, suffix := range suffixes {
			if err := s.cleanUp(ctx, kind.what, kind.waiting, suffix, kind.step); err != nil {
				return 0, err
			}
		}
		if len(suffixes) > 0 {
			return len(suffixes), nil
		}
	}
	return 0, nil
}

func locatorsOf(suffixes []string) []store.Locator {
	locators := make([]store.Locator, len(suffixes))
	for i, suffix := range suffixes {
		locators[i] = store.Locator(suffix)
	}
	return locators
}

func (s *Store) cleanUp(ctx context.Context, what string, waiting *backlog, suffix string, step func(*batch, uint64) (bool, error)) error {
	id, err := keyID(waiting.prefix, []byte(waiting.prefix+suffix))
	if err == nil {
		err = s.submit(ctx, cleanupWeight, func(b *batch) error {
			_, err := step(b, id)
			return err
		})
	}
	if errors.Is(err, store.ErrDamaged) {
		s.log.Error("cleaning up "+what, slog.Uint64("id", id), slog.Any("error", err))
		waiting.remove(suffix)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cleaning up %s: %w", what, err)
	}
	return nil
}

// emptyTomb deletes the next versions of a deleted package, whose files go the way of
// every deleted version's, and tells whether none are left.
func (b *batch) emptyTomb(id uint64) (emptied bool, err error) {
	key := tombKey(id)
	var tomb tombRecord
	if found, err := b.get(key, &tomb); err != nil || !found {
		return true, err
	}
	versions, err := versionsAfter(b.reader, id, tomb.lastVersion, cleanupVersions)
	if err != nil {
		return false, err
	}
	for _, version := range versions {
		tomb.lastVersion = store.Fold(version.version)
		b.dropVersion(id, versionKey(id, version.version), version)
		if version.files > 0 {
			b.await(graveKey(version.id), &graveRecord{})
		}
	}
	if len(versions) == cleanupVersions {
		b.put(key, &tomb)
		return false, nil
	}
	b.bury(key)
	return true, nil
}

// emptyGrave releases the next files of a deleted version, and tells whether none are
// left.
func (b *batch) emptyGrave(id uint64) (emptied bool, err error) {
	key := graveKey(id)
	var grave graveRecord
	if found, err := b.get(key, &grave); err != nil || !found {
		return true, err
	}
	files, err := filesAfter(b.reader, id, grave.lastFile, cleanupFiles)
	if err != nil {
		return false, err
	}
	for _, file := range files {
		// Read one by one: two files may have the same blob.
		blob, err := b.referredBlob(file)
		if err != nil {
			return false, err
		}
		grave.lastFile = store.Fold(file.name)
		b.state.sums.files -= scatter(file.id)
		b.delete(fileKey(id, file.name))
		b.release(file.digest, blob)
	}
	if len(files) == cleanupFiles {
		b.put(key, &grave)
		return false, nil
	}
	b.bury(key)
	return true, nil
}

// Bury implements store.MetadataStore.
func (s *Store) Bury(ctx context.Context, locators []store.Locator) error {
	for chunk := range slices.Chunk(locators, batchWeight) {
		err := s.submit(ctx, len(chunk), func(b *batch) error {
			for _, locator := range chunk {
				b.bury(condemnedKey(locator))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forgetting condemned locators: %w", err)
		}
	}
	return nil
}

// Unnamed implements store.MetadataStore. Locators have no index: they are
// looked for in one scan of all blobs.
func (s *Store) Unnamed(ctx context.Context, locators []store.Locator) ([]store.Locator, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	unnamed := make(map[store.Locator]struct{}, len(locators))
	for _, locator := range locators {
		unnamed[locator] = struct{}{}
	}
	err := s.view(ctx, func(r reader) error {
		err := r.eachCondemned(func(locator store.Locator) { delete(unnamed, locator) })
		if err != nil {
			return err
		}
		return r.scan([]byte(blobPrefix), nil, func(key, value []byte) error {
			var blob blobRecord
			if err := coding.Decode(key, value, &blob); err != nil {
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
	remaining := make([]store.Locator, 0, len(unnamed))
	for locator := range unnamed {
		remaining = append(remaining, locator)
	}
	return remaining, nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// eachCondemned calls fn for each locator whose bytes are condemned.
func (r reader) eachCondemned(fn func(store.Locator)) error {
	return r.scan([]byte(condemnedPrefix), nil, func(key, _ []byte) error {
		fn(store.Locator(key[len(condemnedPrefix):]))
		return nil
	})
}
