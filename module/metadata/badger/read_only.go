package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// A file system that takes no writes, as after an error of its disk, can be read all the
// same. Badger does not open such a database after a crash, because it cuts the logs of
// memtables; those lack nothing that the journal does not have. So Badger is given the
// tables alone, by links in a directory for temporary files, and what they lack is read
// from the journal into layers that stay in memory.

// replayedReadOnly bounds the changes that are in memory. A database that follows its
// journal lacks some memtables, which are fewer.
const replayedReadOnly = 200_000

// errReadOnly is why changes are refused.
var errReadOnly = fmt.Errorf("%w: the file system is read-only; make it writable, and restart Caddy", store.ErrUnavailable)

// openReadOnly opens a database and its journal, and writes nothing beside them.
func (h *home) openReadOnly(ctx context.Context) (*opened, error) {
	h.log.Error("the file system is read-only; files are read, and no changes are taken", slog.String("path", h.path()))
	j, err := journal.Open(h.journalPath(), h.journalOptions())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errReadOnly, err)
	}
	if err != nil {
		return nil, h.journalFault(err)
	}
	links, err := h.linkTables()
	if err != nil {
		return nil, fmt.Errorf("%w: linking the tables, to read them: %w", errReadOnly, err)
	}
	o := &opened{home: h, ledger: compactions.New(links), journal: j, links: links}
	if err := o.openTables(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(links))
	}
	if err := o.reconcileReadOnly(ctx); err != nil {
		return nil, errors.Join(err, o.closeDatabase(ctx))
	}
	return o, nil
}

// linkTables makes a directory with links to what Badger needs to read the tables.
func (h *home) linkTables() (links string, err error) {
	names, err := databaseFiles(h.path(), tableFiles)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"MANIFEST", "KEYREGISTRY", compactions.CheckedFile} {
		if name = filepath.Join(h.path(), name); isThere(name) {
			names = append(names, name)
		}
	}
	if links, err = os.MkdirTemp("", "generic-registry-*"); err != nil {
		return "", err
	}
	for _, name := range names {
		if err := os.Symlink(name, filepath.Join(links, filepath.Base(name))); err != nil {
			return "", errors.Join(err, os.RemoveAll(links))
		}
	}
	return links, nil
}

func isThere(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (o *opened) openTables() error {
	options := databaseOptions(o.links, databaseLog{o.home.log, o.ledger, &o.home.signs, &o.home.told}).WithReadOnly(true)
	if _, err := checkTables(o.links, options); err != nil {
		return err
	}
	if err := o.ledger.Begin(0); err != nil {
		return err
	}
	var err error
	o.db, err = openBadger(options, o.ledger)
	return err
}

// reconcileReadOnly is reconcile, for a database that can be brought to its journal's end in
// memory.
func (o *opened) reconcileReadOnly(ctx context.Context) error {
	known, err := o.read()
	if err != nil {
		return contradiction(err)
	}
	if !known { // no memtable became a table yet
		o.id = o.journal.Store()
	}
	if o.id != o.journal.Store() || o.journal.Position().Sequence > o.state.position.Sequence+replayedReadOnly {
		return fmt.Errorf("%w: the database has to be rebuilt from its journal", errReadOnly)
	}
	if _, err := o.catchUp(ctx); err != nil {
		return fmt.Errorf("reading what the database lacks from the journal: %w", err)
	}
	return o.checkUnlessKnown(ctx, o.home.log)
}
