package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Check implements store.Journaled. Memory does not grow with the number of
// files: what must agree is added up on both sides, each thing scattered by its id.
func (s *Store) Check(ctx context.Context, report func(problem string)) error {
	taken, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer taken.Close()
	view := taken.(*snapshot)
	o, err := s.current()
	if err != nil {
		return err
	}
	if err := s.checkJournal(ctx, o.journal, view.position, report); err != nil {
		return err
	}
	view.mu.Lock()
	defer view.mu.Unlock()
	if view.ended {
		return fmt.Errorf("%w: the store was closed meanwhile", store.ErrUnavailable)
	}
	return newComparison(view.reader, report).run(ctx)
}

// checkJournal reads all files of the journal.
func (s *Store) checkJournal(ctx context.Context, j *journal.Journal, to store.Position, report func(string)) error {
	files, err := j.Files()
	if err != nil {
		return err
	}
	for _, name := range files {
		damage, err := j.Verify(ctx, name, func(int) error { return nil })
		if err != nil {
			return err
		}
		if damage != nil {
			report(fmt.Sprintf("journal: %v", damage.Err))
		}
	}
	if err := j.CheckWhole(); err != nil {
		report(fmt.Sprintf("journal: %v", err))
	}
	err = j.Has(ctx, to)
	switch {
	case errors.Is(err, journal.ErrHistories):
		report(fmt.Sprintf("journal: change %d is not the one that the database has", to.Sequence))
	case err != nil && !errors.Is(err, store.ErrDamaged): // which was reported
		return err
	}
	return nil
}

// comparison compares the records of a database with each other.
type comparison struct {
	reader reader
	graves graveCursor
	tombs  graveCursor
	seed   maphash.Seed

	reporting sync.Mutex
	report    func(string)

	// Each pair must be equal: what is counted, and what there is.
	references, referred uint64
	files, filesOf       uint64
	bytes, bytesOf       uint64
	versions, versionsOf [2]uint64 // of owners, of packages
	stored, storedOf     uint64
	owned, ownedOf       uint64
	indexed, indexedOf   uint64
	packages, packagesOf uint64
	listed, damaged      uint64
	damagedOf            uint64
	found                sums
}

func newComparison(r reader, report func(string)) *comparison {
	return &comparison{reader: r, report: report, graves: graveCursor{reader: r, prefix: gravePrefix}, tombs: graveCursor{reader: r, prefix: tombPrefix}, seed: maphash.MakeSeed()}
}

// run reads everything once: on two threads, since a start may wait for it. Their
// steps add to different sums.
func (a *comparison) run(ctx context.Context) error {
	var state stateRecord
	_, err := a.reader.get(stateKey, &state)
	a.note(err)
	v, t, o, p := new(versionRecord), new(indexRecord), new(ownerRecord), new(packageRecord)
	f, b, k := new(fileRecord), new(blobRecord), new(tokenRecord)
	both := new(errgroup.Group)
	both.Go(func() error {
		return firstError(
			func() error {
				return a.each(ctx, versionPrefix, v, func(key []byte) error { return a.version(key, v) })
			},
			func() error { return a.eachIndex(ctx, t) },
			func() error { return a.each(ctx, ownerPrefix, o, func(key []byte) error { return a.owner(key, o) }) },
			func() error { return a.each(ctx, packagePrefix, p, func(key []byte) error { return a.pkg(key, p) }) },
		)
	})
	both.Go(func() error {
		return firstError(
			func() error { return a.each(ctx, filePrefix, f, func(key []byte) error { return a.file(key, f) }) },
			func() error { return a.each(ctx, blobPrefix, b, func(key []byte) error { return a.blob(key, b) }) },
			func() error {
				return a.each(ctx, damagedPrefix, new(damagedRecord), func(key []byte) error {
					a.listed += a.scatter(key[len(damagedPrefix):])
					return nil
				})
			},
			func() error { return a.each(ctx, tokenPrefix, k, func([]byte) error { return a.token(k) }) },
		)
	})
	if err := both.Wait(); err != nil {
		return err
	}
	a.compare(state)
	return nil
}

func (a *comparison) compare(state stateRecord) {
	known := state.sums
	for _, pair := range []struct {
		what          string
		counted, real uint64
	}{
		{"the references of blobs are not those of the files", a.references, a.referred},
		{"versions do not have as many files as they say", a.files, a.filesOf},
		{"versions do not have as many bytes as they say", a.bytes, a.bytesOf},
		{"owners do not have as many versions as they say", a.versions[0], a.versionsOf[0]},
		{"packages do not have as many versions as they say", a.versions[1], a.versionsOf[1]},
		{"owners do not have as many bytes as they say", a.stored, a.storedOf},
		{"owners do not have as many files as they say", a.owned, a.ownedOf},
		{"the indexes of versions are not those of the versions", a.indexed, a.indexedOf},
		{"owners do not have as many packages as they say", a.packages, a.packagesOf},
		{"the index of damaged blobs is not that of the blobs", a.listed, a.damaged},
		{"there are not as many damaged blobs as counted", state.damaged, a.damagedOf},
		{"files are missing, or came back", known.files, a.found.files},
		{"versions are missing, or came back", known.versions, a.found.versions},
		{"tokens are missing, or came back", known.tokens, a.found.tokens},
		{"blobs are missing, or came back", known.blobs, a.found.blobs},
	} {
		if pair.counted != pair.real {
			a.report("database: " + pair.what)
		}
	}
}

// each reads every record with a prefix. One that is damaged is reported.
func (a *comparison) each(ctx context.Context, prefix string, record coding.Record, fn func(key []byte) error) error {
	return a.reader.scan([]byte(prefix), nil, func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := coding.Decode(key, value, record); err != nil {
			a.note(err)
			return nil
		}
		a.note(fn(key))
		return nil
	})
}

// note reports a fault of one record and lets the others be looked at.
func (a *comparison) note(err error) {
	if err == nil {
		return
	}
	a.reporting.Lock()
	defer a.reporting.Unlock()
	a.report(fmt.Sprintf("database: %v", err))
}

// scatter makes a number of a name that does not cancel out against another's.
func (a *comparison) scatter(name []byte) uint64 { return maphash.Bytes(a.seed, name) }

func (a *comparison) version(key []byte, v *versionRecord) error {
	packageID, err := keyID(versionPrefix, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(key, versionKey(packageID, v.version)) {
		return coding.Damaged(key, "version of another name")
	}
	a.found.versions += scatter(v.id)
	for _, entry := range v.indexKeys(packageID) {
		a.indexedOf += a.scatter(entry) + a.scatter(key)
	}
	a.files += scatter(v.id) * v.files
	a.bytes += scatter(v.id) * v.bytes
	if deleted, err := a.tombs.has(packageID); err != nil || deleted {
		return err
	}
	ofOwner := maphash.String(a.seed, store.Fold(v.owner)) + draftScatter(v.draft)
	a.versionsOf[0] += ofOwner
	a.versionsOf[1] += scatter(packageID) + draftScatter(v.draft)
	a.storedOf += ofOwner * v.bytes
	a.ownedOf += ofOwner * v.files
	return nil
}

// draftScatter has drafts counted apart.
func draftScatter(draft bool) uint64 {
	if draft {
		return scatter(1)
	}
	return 0
}

func (a *comparison) file(key []byte, f *fileRecord) error {
	a.found.files += scatter(f.id)
	a.referred += a.scatter(f.digest[:])
	id, err := keyID(filePrefix, key)
	if err != nil {
		return err
	}
	if deleted, err := a.graves.has(id); err != nil || deleted {
		return err
	}
	a.filesOf += scatter(id)
	a.bytesOf += scatter(id) * f.size
	return nil
}

func (a *comparison) blob(key []byte, b *blobRecord) error {
	a.references += a.scatter(key[len(blobPrefix):]) * b.references
	a.found.blobs += scatterText(string(b.locator))
	if b.damage != "" {
		a.damaged += a.scatter(key[len(blobPrefix):])
		a.damagedOf++
	}
	return nil
}

func (a *comparison) owner(key []byte, o *ownerRecord) error {
	name := a.scatter(bytes.TrimSuffix(key[len(ownerPrefix):], []byte{separator}))
	for i, c := range []counts{o.published, o.drafts} {
		ofOwner := name + draftScatter(i == 1)
		a.versions[0] += ofOwner * c.versions
		a.stored += ofOwner * c.bytes
		a.owned += ofOwner * c.files
	}
	a.packages += name * o.packages
	return nil
}

func (a *comparison) pkg(key []byte, p *packageRecord) error {
	for i, c := range []counts{p.published, p.drafts} {
		a.versions[1] += (scatter(p.id) + draftScatter(i == 1)) * c.versions
	}
	if p.published.versions > 0 {
		owner, _, _ := bytes.Cut(key[len(packagePrefix):], []byte{separator})
		a.packagesOf += a.scatter(owner)
	}
	return nil
}

// eachIndex reads the indexes of versions.
func (a *comparison) eachIndex(ctx context.Context, entry *indexRecord) error {
	for _, prefix := range []string{timePrefix, newestPrefix, rankPrefix, draftPrefix, ownDraftPrefix} {
		err := a.each(ctx, prefix, entry, func(key []byte) error {
			a.indexed += a.scatter(key) + a.scatter(versionKey(entry.packageID, entry.version))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *comparison) token(t *tokenRecord) error {
	a.found.tokens += scatterText(t.token.ID)
	return nil
}
