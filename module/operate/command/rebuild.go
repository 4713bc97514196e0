package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

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
the server says so.

With --journal, the command makes the journal from the database. Use this when the journal
has a hole or is damaged, and the database is not. The new journal has what the registry
contains now, with publishers and times; it does not have what was deleted. The next backup
must be full.

The registry is that of --config, or the registry at --root. The command moves the old
files to another directory in that of the metadata, and says where; it deletes nothing, and
does not touch the bytes of files.`,
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
	backend, ok := config.Metadata.(store.JournalBackend)
	if !ok {
		return store.ErrNoJournal
	}
	if err := config.NotHalf(); err != nil {
		return err
	}
	if err := target.Holds(config, config.Metadata); err != nil {
		return err
	}
	what, rebuild := "database", backend.Rebuild
	if r.journal {
		what, rebuild = "journal", backend.RebuildJournal
	}
	ctx = waiting.WithProgress(ctx, line.Replaying("making the "+what))
	if err := rebuild(ctx, config.Root, config.StoreLog); err != nil {
		return whileStopped(fmt.Errorf("rebuilding the %s: %w", what, err))
	}
	at, err := r.openRebuilt(ctx, config)
	line.End()
	if err != nil {
		return whileStopped(fmt.Errorf("opening the rebuilt %s: %w", what, err))
	}
	_, err = fmt.Fprintf(r.out, "the %s is rebuilt: %s, in %s\n", what, terminal.Counted(int64(at.Sequence), "change"), terminal.Elapsed(began))
	return err
}

// openRebuilt opens the rebuilt metadata and closes it, and returns its position. Where there is a
// blob store it adds lines of the journal that only that has, and tells it that this is now its
// metadata, which may have fewer changes than the blob store has seen.
func (r *rebuildCommand) openRebuilt(ctx context.Context, config *pool.Config) (at store.Position, err error) {
	if target.Holds(config, config.Blobs) != nil {
		return position(config.Metadata.OpenMetadata(ctx, config.Root, config.StoreLog))
	}
	blobs, err := config.Blobs.OpenBlobs(ctx, config.Root, config.StoreLog)
	if err != nil {
		return at, fmt.Errorf("opening blobs: %w", err)
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	at, err = position(config.OpenMetadata(ctx, blobs, config.StoreLog))
	if lines, ok := blobs.(interface{ ForgetLines() error }); ok && r.journal && errors.Is(err, store.ErrUnavailable) {
		// It may be that the blob store cannot read its lines: the journal was made without them.
		if err = lines.ForgetLines(); err == nil {
			at, err = position(config.OpenMetadata(ctx, blobs, config.StoreLog))
		}
	}
	if err != nil {
		return at, err
	}
	return at, blobs.KeepPosition(ctx, at, true)
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
