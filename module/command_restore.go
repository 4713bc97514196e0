package module

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

type restoreCommand struct {
	offline
	in         io.Reader
	out, notes io.Writer
}

func newRestoreCommand(t *target) *cobra.Command {
	r := &restoreCommand{offline: offline{target: t}}
	command := &cobra.Command{
		Use:   "restore <directory>|<file>|-... --root <directory>",
		Short: "Makes a new registry out of a backup",
		Long: `
Makes a new registry out of a backup: a directory, a file with the tar stream of
one, or - for such a stream from standard input. Of several, the first is full and
each of the others continues the one before it.

The root must be empty or not exist: nothing that is there is ever overwritten. The
bytes of files are written first, each compared with its digest; the journal comes
last, and the database is made out of it. A restore that was interrupted, or that
failed, leaves a root that no server takes: delete it, and restore again.

The new registry is the old one, with its files, users, times and tokens, as of the
moment of the backup. Last uses of tokens are not in it. Start the server on it when
the command has ended.

No server is asked; none may run on that root.`,
		Example: `  caddy generic-registry restore /backup/registry --root /var/lib/registry
  caddy generic-registry restore full.tar monday.tar tuesday.tar --root /var/lib/registry
  gunzip < registry.tar.gz | caddy generic-registry restore - --root /var/lib/registry`,
		Args:         cobra.MinimumNArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			r.in, r.out, r.notes = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
			return r.run(command.Context(), arguments)
		},
	}
	r.addFlags(command.Flags())
	return command
}

func (r *restoreCommand) run(ctx context.Context, arguments []string) error {
	began := time.Now()
	backends, err := r.backends(r.notes)
	if err != nil {
		return err
	}
	if err := backends.vacant(); err != nil {
		return err
	}
	var sources []registry.RestoreSource
	for _, argument := range arguments {
		sources = append(sources, registry.RestoreSource{Name: argument, Open: func() (io.ReadCloser, error) { return r.open(argument) }})
	}
	if err := directory.Make(backends.root); err != nil {
		return fmt.Errorf("making the root: %w", err)
	}
	line := newProgressLine(r.notes)
	defer line.end()
	summary, err := registry.Restore(ctx, registry.RestoreTarget{
		Root: backends.root, Metadata: backends.metadata, Blobs: backends.blobs, Spool: backends.root, Log: backends.storeLog,
		Progress: func(p registry.RestoreProgress) {
			line.show(func() string { return fmt.Sprintf("restoring %s: %s", p.Source, amount(p.Blobs, "blob", p.Bytes)) })
		},
	}, sources...)
	line.end()
	if err != nil {
		if backends.vacant() != nil {
			err = fmt.Errorf("%w\n%s has half a restore, which no server takes: delete it, and restore again", err, backends.root)
		}
		return err
	}
	fmt.Fprintf(r.out, "restored registry %s as of change %d (%s): %s, in %s\n",
		summary.Store, summary.Position.Sequence, summary.Created.Format(time.RFC3339), amount(summary.Blobs, "blob", summary.Bytes), elapsed(began))
	for _, missing := range summary.Missing {
		fmt.Fprintf(r.notes, "missing: %s (%d bytes): %s\n", missing.Digest, missing.Size, missing.Problem)
	}
	if n := len(summary.Missing); n > 0 {
		fmt.Fprintf(r.notes, "damaged when the backup was made, and missing now: %s; publishing the same content again, under any name, heals the files that had it\n", counted(int64(n), "blob"))
	}
	return nil
}

// open opens what an argument names.
func (r *restoreCommand) open(argument string) (io.ReadCloser, error) {
	if argument == standardStream {
		return io.NopCloser(r.in), nil
	}
	info, err := os.Stat(argument)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	if info.IsDir() {
		return openBackupDirectory(argument)
	}
	file, err := os.Open(argument)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	return file, nil
}
