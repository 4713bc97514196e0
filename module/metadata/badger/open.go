package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
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
		// Checksums are compared before Badger opens its tables (preflight.go), one table
		// at a time. Badger would do it again, with all of them in memory.
		WithChecksumVerificationMode(options.NoVerification).
		// One goroutine writes: there is nothing to detect.
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumLevelZeroTablesStall(math.MaxInt). // awaitMerged waits in its place
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

// open opens the journal and the database, and brings the database to where the
// journal is: by replaying what it lacks, or all of it when it is damaged.
func (h *home) open(ctx context.Context) (*opened, error) {
	if h.stuck.Load() {
		return nil, errStuck
	}
	if h.readOnly {
		return h.openReadOnly(ctx)
	}
	if err := journal.RemoveUnfinished(h.journalPath(), h.fsys); err != nil {
		return nil, err
	}
	j, err := journal.Open(h.journalPath(), h.journalOptions())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, h.journalFault(err)
	}
	o, err := h.openOver(ctx, j)
	if errors.Is(err, errDatabase) && j != nil && ctx.Err() == nil && !h.stuck.Load() {
		o, err = h.remake(ctx, j, err)
	}
	if err != nil && j != nil {
		err = errors.Join(err, j.Close())
	}
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	if err := firstError(o.journal.Begin, h.space.setAside); err != nil {
		return nil, errors.Join(directory.Full(err), o.close(ctx))
	}
	return o, nil
}

// journalFault says what helps against a journal that is damaged, or cannot be read.
func (h *home) journalFault(err error) error {
	if !errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("opening journal: %w", err)
	}
	if disk.IsRefusal(err) {
		return fmt.Errorf("%w: the journal cannot be read now: %w: try again; if it stays so, `caddy generic-registry rebuild --journal` leaves out what cannot be read", store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: run `caddy generic-registry rebuild --journal` to rebuild the journal from the database, or restore a backup", err)
}

// openOver opens the database with its journal, nil for a store that has none yet.
func (h *home) openOver(ctx context.Context, j *journal.Journal) (*opened, error) {
	o, err := h.openDatabase(ctx)
	if err != nil {
		return nil, err
	}
	o.journal = j
	if err = h.reconcile(ctx, o); err == nil {
		return o, nil
	}
	err = errors.Join(err, o.closeDatabase(ctx))
	if j == nil && o.journal != nil { // just created
		err = errors.Join(err, o.journal.Close())
	}
	return nil, err
}

// reconcile makes sure that database and journal belong together and are at one
// position.
func (h *home) reconcile(ctx context.Context, o *opened) error {
	known, err := o.read()
	if err != nil {
		return contradiction(err)
	}
	switch {
	case o.journal == nil && known:
		return fmt.Errorf("%w: the journal in %s is missing: run `caddy generic-registry rebuild --journal` to rebuild it from the database, or restore a backup",
			store.ErrDamaged, h.journalPath())
	case o.journal == nil:
		if o.journal, err = journal.Create(h.journalPath(), newStoreID(), h.journalOptions()); err != nil {
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
		return fmt.Errorf("%w: the journal in %s is of another store", store.ErrDamaged, h.journalPath())
	}
	replayed, err := o.catchUp(ctx)
	if err != nil {
		return fmt.Errorf("bringing the database to the journal's end: %w", err)
	}
	if replayed > 0 {
		h.log.Warn("the database was behind its journal; the changes it lacked are made again", slog.Uint64("changes", replayed))
		if err := o.cleanUpLeft(ctx); err != nil {
			return err
		}
	}
	return o.checkUnlessKnown(ctx, h.log)
}

// openDatabase opens Badger's files, once they have been looked at. What it holds is
// durable once it is flushed. Without room it does not even try: Badger would kill the process.
func (h *home) openDatabase(ctx context.Context) (*opened, error) {
	o := &opened{home: h, ledger: compactions.New(h.path())}
	options := databaseOptions(h.path(), databaseLog{h.log, o.ledger, &h.signs, &h.told})
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "looking at the files of the database"})
	err := firstError(
		h.space.forOpening,
		func() error { return h.descriptors.ForOpening(h.path()) },
		func() error { return checkFiles(h.path(), options, h.log) },
		h.space.makeDiscard, o.beginLedger,
	)
	if err != nil {
		return nil, err
	}
	err = h.attend(ctx, "opening the database", func() (err error) {
		o.db, err = openBadger(options, o.ledger)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w; its files in %s were looked at and are whole", err, h.path())
	}
	return o, nil
}

func (o *opened) beginLedger() error {
	logs, err := databaseFiles(o.home.path(), memtableLogs)
	if err != nil {
		return err
	}
	return o.ledger.Begin(len(logs))
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
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
}
