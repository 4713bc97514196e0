package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	layout = "generic_registry metadata badger"

	// layoutVersion is of packages with ids, of indexes of versions and of drafts, and of
	// damage in the records of blobs.
	layoutVersion = 9

	memTableSize     = 8 << 20
	valueLogSize     = 1 << 20 // nothing is written to it
	journalDirectory = "journal"

	pollInterval = time.Millisecond
)

// databaseOptions are small on purpose: millions of files are a few hundred
// megabytes of metadata, and the process has other work.
func databaseOptions(path string, log databaseLog) badger.Options {
	o := badger.DefaultOptions(path).
		WithLogger(log).
		// Off by default; without it a power cut loses records out of the middle, and
		// bytes are deleted of files that come back.
		WithSyncWrites(true).
		// Damage is found when a table is read, not passed on.
		WithChecksumVerificationMode(options.OnTableRead).
		// One goroutine writes: there is nothing to detect.
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithCompression(options.None).
		// The claim locks the directory as Badger would.
		WithBypassLockGuard(true).
		WithBaseTableSize(4 << 20).
		WithBlockCacheSize(0). // what is not compressed is read where it is mapped
		WithValueLogFileSize(valueLogSize).
		WithMetricsEnabled(false)
	// Badger builds tables in buffers that hold them compressed too, and keeps eight of
	// them: so tables are not compressed, and all of one size. They take twice the room,
	// in pages that the system may drop, and are read in half the time.
	o.TableSizeMultiplier = 1
	return o
}

// place is where a store is, and how it gets at the disk.
type place struct {
	claim *directory.Claim
	kept  atomic.Pointer[journal.Keep]
	room  *room
	// descriptors are of the process; each store holds some.
	descriptors *descriptors

	log   *slog.Logger
	fsys  disk.FS
	signs atomic.Int64 // that Badger gets on
	stuck atomic.Bool  // Badger may write on, whatever becomes of this store

	readOnly bool // the file system takes no writes

	// Tests have these otherwise.
	segment               int64 // size of the journal's segments; 0 is the default
	inline                bool  // compress them, and make checkpoints, at once
	checkpointLeast       int   // checkpointLeast
	idle, retry, patience time.Duration
	delay                 time.Duration // persistDelay
	hang                  time.Duration // hangTime
}

func (p *place) path() string { return p.claim.Path }

func (p *place) journalPath() string { return filepath.Join(p.path(), journalDirectory) }

// keep is which segments of the journal stay.
func (p *place) keep() journal.Keep {
	if kept := p.kept.Load(); kept != nil {
		return *kept
	}
	return journal.Keep{}
}

func (p *place) journalOptions() journal.Options {
	return journal.Options{FS: p.fsys, Log: p.log, SegmentSize: p.segment, Inline: p.inline}
}

// take claims a directory. Nothing in it is opened yet.
func take(path string, reserve int64, log *slog.Logger, fsys disk.FS) (*place, error) {
	claim, err := directory.Take(path, layout, layoutVersion)
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	p := &place{
		claim: claim, log: log, fsys: fsys,
		room: &room{path: claim.Path, fsys: fsys, log: log}, descriptors: newDescriptors(),
		idle: idleInterval, retry: retryInterval, patience: compactionPatience, delay: persistDelay, hang: hangTime,
		checkpointLeast: checkpointLeast,
		readOnly:        disk.IsReadOnly(claim.Path),
	}
	p.room.reserve.Store(reserve)
	return p, nil
}

// release gives the directory back after an error, or none, unless Badger may still
// write to it.
func (p *place) release(err error) error {
	p.descriptors.letGo(heldDescriptors)
	if p.stuck.Load() {
		p.claim.Abandon()
		return err
	}
	return errors.Join(err, p.claim.Release())
}

// open opens the journal and the database, and brings the database to where the
// journal is: by replaying what it lacks, or all of it when it is damaged. Without
// room it does not even try: Badger would kill the process.
func (p *place) open(ctx context.Context) (*opened, error) {
	if p.stuck.Load() {
		return nil, errStuck
	}
	if p.readOnly {
		o, err := p.openReadOnly(ctx)
		return o, directory.OpenFault(err)
	}
	if err := p.room.forOpening(); err != nil {
		return nil, err
	}
	j, err := journal.Open(p.journalPath(), p.journalOptions())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, p.journalFault(err)
	}
	o, err := p.openOver(ctx, j)
	if errors.Is(err, errDatabase) && j != nil && ctx.Err() == nil && !p.stuck.Load() {
		o, err = p.remake(ctx, j, err)
	}
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	if err := firstError(o.journal.Begin, p.room.setAside); err != nil {
		return nil, errors.Join(directory.Full(err), o.close(ctx))
	}
	return o, nil
}

// journalFault says what helps against a damaged journal.
func (p *place) journalFault(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("%w: run `caddy generic-registry rebuild --journal` to rebuild the journal from the database, or restore a backup", err)
	}
	return fmt.Errorf("opening journal: %w", err)
}

// openOver opens the database with its journal, nil for a store that has none yet.
func (p *place) openOver(ctx context.Context, j *journal.Journal) (*opened, error) {
	o, err := p.openDatabase(ctx)
	if err != nil {
		return nil, err
	}
	o.journal = j
	if err := p.settle(ctx, o); err != nil {
		return nil, errors.Join(err, o.closeDatabase(ctx))
	}
	return o, nil
}

// settle makes sure that database and journal belong together and are at one
// position.
func (p *place) settle(ctx context.Context, o *opened) error {
	known, err := o.read()
	if err != nil {
		return contradiction(err)
	}
	switch {
	case o.journal == nil && known:
		return fmt.Errorf("%w: the journal in %s is missing: run `caddy generic-registry rebuild --journal` to rebuild it from the database, or restore a backup",
			store.ErrDamaged, p.journalPath())
	case o.journal == nil:
		if o.journal, err = journal.Create(p.journalPath(), newStoreID(), p.journalOptions()); err != nil {
			return fmt.Errorf("creating journal: %w", err)
		}
		if err := o.name(); err != nil {
			return err
		}
	case !known:
		if err := o.name(); err != nil {
			return fmt.Errorf("naming database: %w", err)
		}
	case o.id != o.journal.Store():
		return fmt.Errorf("%w: the journal in %s is of another store", store.ErrDamaged, p.journalPath())
	}
	replayed, err := o.catchUp(ctx)
	if err != nil {
		return fmt.Errorf("bringing the database to the journal's end: %w", err)
	}
	if replayed > 0 {
		p.log.Warn("the database was behind its journal; the changes it lacked are made again", slog.Uint64("changes", replayed))
		if err := o.cleanUpLeft(ctx); err != nil {
			return err
		}
	}
	return o.checkUnlessKnown(ctx, p.log)
}

// openDatabase opens Badger's files, once they have been looked at. What it holds is
// durable once it is flushed.
func (p *place) openDatabase(ctx context.Context) (*opened, error) {
	o := &opened{place: p, ledger: newLedger(p.path())}
	options := databaseOptions(p.path(), databaseLog{p.log, o.ledger, &p.signs})
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "looking at the files of the database"})
	err := firstError(
		func() error { return p.descriptors.forOpening(p.path()) },
		func() error { return checkFiles(p.path(), options, p.log) },
		p.room.makeDiscard, o.ledger.begin,
	)
	if err != nil {
		return nil, err
	}
	err = p.attend(ctx, "opening the database", func() (err error) {
		o.db, err = openBadger(options)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w; its files in %s were looked at and are whole", err, p.path())
	}
	return o, nil
}

// awaitFlush waits until what the last run left in the logs of memtables is in tables:
// what it says must not have bytes deleted before it is on disk. Badger tries as long as
// it takes.
func (o *opened) awaitFlush(ctx context.Context) error {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "writing what the last run left in the logs of the database"})
	return poll(ctx, o.db.isFlushed)
}

// poll asks until the answer is yes, or until the context ends: Badger tells nobody
// when a memtable is written, or a compaction ends.
func poll(ctx context.Context, ask func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
