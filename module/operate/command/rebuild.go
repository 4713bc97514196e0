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
	metadata, err := config.Metadata.OpenMetadata(ctx, config.Root, config.StoreLog)
	if err != nil {
		return whileStopped(fmt.Errorf("opening the rebuilt %s: %w", what, err))
	}
	at := metadata.Condition().Journal
	line.End()
	if err := metadata.Close(); err != nil {
		return fmt.Errorf("closing the rebuilt %s: %w", what, err)
	}
	if err := keepPosition(ctx, config, at); err != nil {
		return whileStopped(err)
	}
	_, err = fmt.Fprintf(r.out, "the %s is rebuilt: %s, in %s\n", what, terminal.Counted(int64(at.Sequence), "change"), terminal.Elapsed(began))
	return err
}

// keepPosition tells the blob store, where there is one, that the rebuilt metadata is now its
// metadata, which may have fewer changes than the blob store has seen.
func keepPosition(ctx context.Context, config *pool.Config, at store.Position) error {
	if target.Holds(config, config.Blobs) != nil {
		return nil
	}
	blobs, err := config.Blobs.OpenBlobs(ctx, config.Root, config.StoreLog)
	if err != nil {
		return fmt.Errorf("opening blobs: %w", err)
	}
	return errors.Join(blobs.KeepPosition(ctx, at, true), blobs.Close())
}

// whileStopped says what to do about a server that runs.
func whileStopped(err error) error {
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("a server has this registry open: stop the server first: %w", err)
	}
	return err
}
