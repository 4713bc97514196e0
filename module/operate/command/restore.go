package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup/folder"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

type restoreCommand struct {
	*target.Target
	in         io.Reader
	out, notes io.Writer
}

func newRestoreCommand(t *target.Target) *cobra.Command {
	r := &restoreCommand{Target: t}
	command := &cobra.Command{
		Use:   "restore <directory>|<file>|-... --config <file>|--root <directory>",
		Short: "Makes a new registry out of a backup",
		Long: `
Makes a new registry out of a backup: a directory, a file with the tar stream of
one, or - for such a stream from standard input. Of several, the first is full and
each of the others continues the one before it.

The registry is made where --config has it, with the stores of that configuration; or
at --root, with the stores of a configuration that sets no ` + "`metadata` and no `blobs`" + `. The
place must be empty or not exist: nothing that is there is ever overwritten. The
bytes of files are written first, each compared with its digest; the journal comes
last, and the database is made out of it. A restore that was interrupted, or that
failed, leaves half a registry, which every server refuses and names so: delete what is
in its root, and restore again.

The new registry is the old one, with its files, users, times and tokens, as of the
moment of the backup. Last uses of tokens are not in it. Start the server on it when
the command has ended.

No server is asked; none may run on that root. Run the command as the user that Caddy
runs as, whose the new files must be.

The exit status is 0 when everything is restored, and 1 otherwise: also when the backup
lacks bytes that were damaged when it was made.`,
		Example: `  sudo -u caddy caddy generic-registry restore /backup/registry --config /etc/caddy/Caddyfile
  caddy generic-registry restore /backup/registry --root /var/lib/registry
  caddy generic-registry restore full.tar monday.tar tuesday.tar --root /var/lib/registry
  gunzip < registry.tar.gz | caddy generic-registry restore - --root /var/lib/registry`,
		SuggestFor: []string{"import", "load"},
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) == 0 {
				return fmt.Errorf("write which backup: %[1]s <directory> or %[1]s <file>.tar, or - for standard input", command.CommandPath())
			}
			return nil
		},
		SilenceUsage: true,
		RunE: interruptible(func(ctx context.Context, command *cobra.Command, arguments []string) error {
			r.in, r.out, r.notes = command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr()
			return r.run(ctx, arguments)
		}),
	}
	return command
}

func (r *restoreCommand) run(ctx context.Context, arguments []string) error {
	began := time.Now()
	line := terminal.NewLine(r.notes)
	defer line.End()
	// Stores warn of what a restore does on purpose: it makes a database out of a journal.
	config, err := r.Stopped(notesLog(line, slog.LevelError))
	if err != nil {
		return err
	}
	if err := target.Vacant(config); err != nil {
		return err
	}
	scratch, err := target.Scratch()
	if err != nil {
		return err
	}
	var sources []backup.RestoreSource
	for _, argument := range arguments {
		sources = append(sources, backup.RestoreSource{Name: argument, Open: func() (io.ReadCloser, error) { return r.open(ctx, argument) }})
	}
	if err := directory.Make(config.Root); err != nil {
		return directory.OrPermission(fmt.Errorf("making the root: %w", err))
	}
	ctx = waiting.WithProgress(ctx, line.Replaying("making the database"))
	summary, err := backup.Restore(ctx, backup.RestoreTarget{
		Root: config.Root, Metadata: config.Metadata, Blobs: config.Blobs, Scratch: scratch, Spool: config.Root, Log: config.StoreLog,
		Progress: func(p backup.RestoreProgress) {
			line.Show(terminal.Step{What: "restoring " + p.Source, Unit: "blob", Done: p.Blobs, Total: p.Expected.Blobs, Bytes: p.Bytes, TotalBytes: p.Expected.Bytes})
		},
	}, sources...)
	line.End()
	if err != nil {
		return r.explain(ctx, err, config)
	}
	r.noteOwner(config.Root)
	fmt.Fprintf(r.out, "restored registry %s as of change %d (%s): %s, in %s\n",
		summary.Store, summary.Position.Sequence, summary.Created.Format(time.RFC3339), terminal.Amount(summary.Blobs, "blob", summary.Bytes), terminal.Elapsed(began))
	for _, missing := range summary.Missing {
		fmt.Fprintf(r.notes, "missing: %s (%d bytes): %s\n", missing.Digest, missing.Size, missing.Problem)
	}
	if n := len(summary.Missing); n > 0 {
		return fmt.Errorf("%s missing: damaged already when the backup was made; publishing the same content again, under any name, heals the files that had it", areDamaged(n))
	}
	return nil
}

// explain says what a restore that did not come to its end leaves.
func (r *restoreCommand) explain(ctx context.Context, err error, config *pool.Config) error {
	if ctx.Err() != nil {
		err = errInterrupted
	}
	err = directory.OrPermission(err)
	if half := config.NotHalf(); half != nil {
		return fmt.Errorf("%w\n%w", err, half)
	}
	return err
}

// noteOwner tells root, in whose directory of somebody else the server may not read what
// root made.
func (r *restoreCommand) noteOwner(root string) {
	made, _ := directory.OwnerOf(root)
	if above, known := directory.OwnerOf(filepath.Dir(root)); known && above != made && made == directory.UserName(0) {
		fmt.Fprintf(r.notes, "warning: the new files belong to %s, and the directory above them to %s: if Caddy runs as %[2]s, run chown -R %[2]s: %[3]s\n", made, above, root)
	}
}

// open opens what an argument names.
func (r *restoreCommand) open(ctx context.Context, argument string) (io.ReadCloser, error) {
	if argument == target.StandardStream {
		return uncompressed(argument, readUntil(ctx, r.in))
	}
	info, err := os.Stat(argument)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	if info.IsDir() {
		return folder.Open(argument)
	}
	file, err := os.Open(argument)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: %w", err)
	}
	return uncompressed(argument, file)
}

// readUntil returns what a reader has, until the context ends: standard input may have no
// more, and no end.
func readUntil(ctx context.Context, in io.Reader) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, in)
		_ = writer.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { _ = reader.CloseWithError(ctx.Err()) })
	return reader
}

// compressions are told by their first bytes, with the program that takes them off.
var compressions = []struct{ begins, name, program string }{
	{"\x1f\x8b", "gzip", "gunzip"},
	{"\x28\xb5\x2f\xfd", "zstd", "zstd -d"},
	{"\xfd7zXZ\x00", "xz", "xz -d"},
	{"BZh", "bzip2", "bunzip2"},
}

// uncompressed refuses a stream that is compressed, and says what to do.
func uncompressed(name string, stream io.ReadCloser) (io.ReadCloser, error) {
	buffered := bufio.NewReader(stream)
	begin, _ := buffered.Peek(6) // what keeps it from being read is met again
	for _, known := range compressions {
		if !strings.HasPrefix(string(begin), known.begins) {
			continue
		}
		from := " < " + name
		if name == target.StandardStream {
			name, from = "standard input", ""
		}
		return nil, errors.Join(fmt.Errorf("%s is %s: %s%s | caddy generic-registry restore -", name, known.name, known.program, from), stream.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{buffered, stream}, nil
}
