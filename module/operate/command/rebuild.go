package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

type rebuildCommand struct {
	*target.Target
	journal    bool
	out, notes io.Writer
}

func newRebuildCommand(t *target.Target) *cobra.Command {
	r := &rebuildCommand{Target: t}
	command := &cobra.Command{
		Use:   "rebuild [--journal] --config <file>|--root <directory>",
		Short: "Rebuilds the database from the journal, or the journal from the database",
		Long: `
Rebuilds the database of a stopped server from the journal of its changes. A server that
finds its database missing or damaged rebuilds it by itself at start. Use the command when
the server says so. The command refuses to replace a database that has more changes than
the journal.

With --journal, the command makes the journal from the database. Use this when the journal
has a hole or is damaged, and the database is not. The new journal has what the registry
contains now, with publishers and times; it does not have what was deleted. The next backup
must be full.

The last lines of the journal may be among the bytes of small files: the command takes them
from there.

The registry is that of --config, or the registry at --root. The command moves the old
files to another directory in that of the metadata, and says where. Without --journal, it
removes what was moved there more than 30 days ago, and all but the last three. It does not
touch the bytes of files.`,
		Example: `  caddy generic-registry rebuild --config /etc/caddy/Caddyfile
  caddy generic-registry rebuild --root /var/lib/registry
  caddy generic-registry rebuild --journal --root /var/lib/registry`,
		SuggestFor:   []string{"repair", "recover", "reindex"},
		Args:         noArguments,
		SilenceUsage: true,
		RunE: interruptible(func(ctx context.Context, command *cobra.Command, _ []string) error {
			r.out, r.notes = command.OutOrStdout(), command.ErrOrStderr()
			return r.run(ctx)
		}),
	}
	command.Flags().BoolVar(&r.journal, "journal", false, "Rebuild the journal from the database")
	return command
}

func (r *rebuildCommand) run(ctx context.Context) error {
	began := time.Now()
	line := terminal.NewLine(r.notes)
	defer line.End()
	config, err := r.Stopped(notesLog(line, slog.LevelWarn))
	if err != nil {
		return err
	}
	if _, ok := config.Metadata.(store.JournalBackend); !ok {
		return store.ErrNoJournal
	}
	if err := config.NotHalf(); err != nil {
		return err
	}
	if err := target.Holds(config, config.Metadata); err != nil {
		return err
	}
	what := "database"
	if r.journal {
		what = "journal"
	}
	ctx = waiting.WithProgress(ctx, line.Replaying("making the "+what))
	at, err := r.rebuild(ctx, config)
	line.End()
	if err != nil {
		return whileStopped(fmt.Errorf("rebuilding the %s: %w", what, err))
	}
	_, err = fmt.Fprintf(r.out, "the %s is rebuilt: %s, in %s\n", what, terminal.Counted(int64(at.Sequence), "change"), terminal.Elapsed(began))
	return err
}

// rebuild rebuilds the metadata, and returns their position. The blob store is open before
// anything is moved, if there is one: only that may have the last lines of the journal. In the end
// it is told that these are now its metadata, which may have fewer changes than it has seen.
func (r *rebuildCommand) rebuild(ctx context.Context, config *pool.Config) (at store.Position, err error) {
	blobs, err := openBlobs(ctx, config)
	if err != nil {
		return at, err
	}
	if blobs != nil {
		defer func() { err = errors.Join(err, blobs.Close()) }()
	}
	backend, ok := config.Beside(blobs).(store.JournalBackend)
	if !ok {
		return at, store.ErrNoJournal
	}
	rebuild := backend.Rebuild
	if r.journal {
		rebuild = backend.RebuildJournal
	}
	if err := rebuild(ctx, config.Root, config.StoreLog); err != nil {
		return at, err
	}
	at, err = position(config.Beside(blobs).OpenMetadata(ctx, config.Root, config.StoreLog))
	if err != nil {
		return at, fmt.Errorf("opening what was rebuilt: %w", err)
	}
	if blobs == nil {
		return at, nil
	}
	return at, blobs.KeepPosition(ctx, at, true)
}

// openBlobs opens the blob store. Nil where there is none.
func openBlobs(ctx context.Context, config *pool.Config) (store.BlobStore, error) {
	err := target.Holds(config, config.Blobs)
	if errors.Is(err, target.ErrNothing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	blobs, err := config.Blobs.OpenBlobs(ctx, config.Root, config.StoreLog)
	if err != nil {
		return nil, fmt.Errorf("opening blobs: %w", directory.OrPermission(err))
	}
	return blobs, nil
}

// position closes a store that was opened, and returns its position.
func position(metadata store.MetadataStore, err error) (store.Position, error) {
	if err != nil {
		return store.Position{}, err
	}
	at := metadata.Condition().Journal
	return at, metadata.Close()
}

// whileStopped says what to do about a server that runs.
func whileStopped(err error) error {
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("a server has this registry open: stop the server first: %w", err)
	}
	return err
}
