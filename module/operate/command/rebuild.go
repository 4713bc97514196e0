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
Makes the database of a stopped server anew from the journal of its changes. A server
that finds its database missing or damaged does that by itself at start; the command
is for when it says so, or when the database is to be made anew at once.

With --journal it makes the journal anew from the database, for when the journal has
a hole or is damaged and the database is not: it then has what there is now, with its
publishers and times, and no longer what was deleted. Backups cannot be continued
after that: the next one must be full.

The registry is that of --config, or the one at --root. What is replaced is put aside in the directory of the metadata, and the command says
where; nothing is deleted. Bytes of files are not touched.`,
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
	if err := config.NotHalf(); err != nil {
		return err
	}
	if err := target.Holds(config, config.Metadata.Identity(config.Root)); err != nil {
		return err
	}
	backend, ok := config.Metadata.(store.JournalBackend)
	if !ok {
		return store.ErrNoJournal
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
		return whileStopped(fmt.Errorf("opening what was made: %w", err))
	}
	at := metadata.Condition().Journal
	line.End()
	if err := metadata.Close(); err != nil {
		return fmt.Errorf("closing what was made: %w", err)
	}
	if err := keepPosition(ctx, config, at); err != nil {
		return whileStopped(err)
	}
	_, err = fmt.Fprintf(r.out, "the %s is rebuilt: %s, in %s\n", what, terminal.Counted(int64(at.Sequence), "change"), terminal.Elapsed(began))
	return err
}

// keepPosition tells the blobs, where there are some, that what was made is their
// metadata now: it may have fewer changes than what they have seen.
func keepPosition(ctx context.Context, config *pool.Config, at store.Position) error {
	if target.HoldsBlobs(config) != nil {
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
		return fmt.Errorf("a server has this registry open; this needs it stopped: %w", err)
	}
	return err
}
