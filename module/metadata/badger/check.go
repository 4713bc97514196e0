package badger

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
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
	return newAudit(view.reader, report).run(ctx)
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

// audit compares the records of a database with each other.
type audit struct {
	reader reader
	graves graveCursor
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
	times, timesOf       uint64
	found                sums
}

func newAudit(r reader, report func(string)) *audit {
	return &audit{reader: r, report: report, graves: graveCursor{reader: r}, seed: maphash.MakeSeed()}
}

// run reads everything once: on two threads, since a start may wait for it. Their
// steps add to different sums.
func (a *audit) run(ctx context.Context) error {
	var state stateRecord
	_, err := a.reader.get(stateKey, &state)
	a.note(err)
	v, t, o, p := new(versionRecord), new(timeRecord), new(ownerRecord), new(packageRecord)
	f, b, k := new(fileRecord), new(blobRecord), new(tokenRecord)
	both := new(errgroup.Group)
	both.Go(func() error {
		return firstError(
			func() error {
				return a.each(ctx, versionPrefix, v, func(key []byte) error { return a.version(key, v) })
			},
			func() error { return a.each(ctx, timePrefix, t, func([]byte) error { return a.time(t) }) },
			func() error { return a.each(ctx, ownerPrefix, o, func(key []byte) error { return a.owner(key, o) }) },
			func() error { return a.each(ctx, packagePrefix, p, func(key []byte) error { return a.pkg(key, p) }) },
		)
	})
	both.Go(func() error {
		return firstError(
			func() error { return a.each(ctx, filePrefix, f, func(key []byte) error { return a.file(key, f) }) },
			func() error { return a.each(ctx, blobPrefix, b, func(key []byte) error { return a.blob(key, b) }) },
			func() error { return a.each(ctx, tokenPrefix, k, func([]byte) error { return a.token(k) }) },
		)
	})
	if err := both.Wait(); err != nil {
		return err
	}
	a.compare(state.sums)
	return nil
}

func (a *audit) compare(known sums) {
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
		{"the index by time is not that of the versions", a.times, a.timesOf},
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
func (a *audit) each(ctx context.Context, prefix string, record codec, fn func(key []byte) error) error {
	return a.reader.scan([]byte(prefix), nil, func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := decode(key, value, record); err != nil {
			a.note(err)
			return nil
		}
		a.note(fn(key))
		return nil
	})
}

// note reports a fault of one record and lets the others be looked at.
func (a *audit) note(err error) {
	if err == nil {
		return
	}
	a.reporting.Lock()
	defer a.reporting.Unlock()
	a.report(fmt.Sprintf("database: %v", err))
}

// scatter makes a number of a name that does not cancel out against another's.
func (a *audit) scatter(name []byte) uint64 { return maphash.Bytes(a.seed, name) }

func (a *audit) version(key []byte, v *versionRecord) error {
	owner, pkg, err := versionNames(key)
	if err != nil {
		return err
	}
	ofOwner := a.scatter(owner)
	a.found.versions += scatter(v.id)
	a.files += scatter(v.id) * v.files
	a.bytes += scatter(v.id) * v.bytes
	a.versionsOf[0] += ofOwner
	a.versionsOf[1] += a.scatter(pkg)
	a.storedOf += ofOwner * v.bytes
	a.ownedOf += ofOwner * v.files
	a.timesOf += a.scatter(key)
	return nil
}

func (a *audit) file(key []byte, f *fileRecord) error {
	a.found.files += scatter(f.id)
	a.referred += a.scatter(f.digest[:])
	id, err := fileVersion(key)
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

func (a *audit) blob(key []byte, b *blobRecord) error {
	a.references += a.scatter(key[len(blobPrefix):]) * b.references
	a.found.blobs += scatterText(string(b.locator))
	return nil
}

func (a *audit) owner(key []byte, o *ownerRecord) error {
	ofOwner := a.scatter(key[len(ownerPrefix):])
	a.versions[0] += ofOwner * o.versions
	a.stored += ofOwner * o.bytes
	a.owned += ofOwner * o.files
	return nil
}

func (a *audit) pkg(key []byte, p *packageRecord) error {
	a.versions[1] += a.scatter(key[len(packagePrefix):]) * p.versions
	return nil
}

func (a *audit) time(t *timeRecord) error {
	a.times += maphash.String(a.seed, t.versionKey)
	return nil
}

func (a *audit) token(t *tokenRecord) error {
	a.found.tokens += scatterText(t.token.ID)
	return nil
}
