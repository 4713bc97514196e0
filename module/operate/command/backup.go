package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup/folder"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

type backupCommand struct {
	*target.Target
	isOffline, full, skipDamaged bool
	out, notes                   io.Writer
	line                         *terminal.Line
}

func newBackupCommand(t *target.Target) *cobra.Command {
	b := &backupCommand{Target: t}
	command := &cobra.Command{
		Use:   "backup <directory>|-",
		Short: "Backs a registry up, while it is in use",
		Long: `
Makes a backup of a registry: the journal of its changes and the bytes of its
files, as of one moment. The running server makes it and goes on publishing and
deleting meanwhile; what is deleted keeps its bytes on the disk until the backup
is done.

A directory is made if need be. It gets the files ` + "`backup.json`" + `, which is written
last, and the folders ` + "`journal`" + ` and ` + "`blobs`" + `. A directory that has a backup
already is brought up to date: only what is new is read and written. When the
command is interrupted, the backup that was there stays as it was, and the next
run goes on from it. Bytes of files that were deleted since stay in the directory;
--full makes a new backup in it, beside the old one at first, and then removes that.

With - the backup goes to standard output, as a tar stream of everything. Its
last entry is ` + "`end.json`" + `: without it the backup is not whole, and restore refuses it.

Every byte is compared with its digest on the way. The first that is damaged ends
the backup, unless --skip-damaged lists what is damaged and goes on.

With --offline the command opens the registry of a stopped server itself: that of
--config, or the one at --root. It changes nothing there but what opening a registry
repairs.

The exit status is 0 when everything is in the backup, and 1 otherwise: also with
--skip-damaged when something damaged was left out, and as long as a directory lacks
what an earlier backup left out.

Whoever can read a backup can read every file. It has no token that could be used,
only digests of them.`,
		Example: `  caddy generic-registry backup /backup/registry
  caddy generic-registry backup - | gzip > registry.tar.gz
  caddy generic-registry backup /backup/registry --offline --root /var/lib/registry`,
		SuggestFor: []string{"export", "dump", "save"},
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) != 1 {
				return fmt.Errorf("write one place for the backup: %[1]s <directory>, or `%[1]s - > registry.tar` for standard output", command.CommandPath())
			}
			return nil
		},
		SilenceUsage: true,
		RunE: interruptible(func(ctx context.Context, command *cobra.Command, arguments []string) error {
			b.out, b.notes = command.OutOrStdout(), command.ErrOrStderr()
			b.line = terminal.NewLine(b.notes)
			defer b.line.End()
			if arguments[0] == target.StandardStream {
				return b.toOutput(ctx)
			}
			return b.toDirectory(ctx, arguments[0])
		}),
	}
	flags := command.Flags()
	flags.BoolVar(&b.full, "full", false, "Make a full backup, whatever the directory has")
	flags.BoolVar(&b.skipDamaged, "skip-damaged", false, "Go on when bytes are damaged or missing, and list them")
	flags.BoolVar(&b.isOffline, "offline", false, "Open the registry of a stopped server: needs --config or --root")
	return command
}

// begin starts a backup and returns it to be read.
func (b *backupCommand) begin(ctx context.Context, since store.Position) (io.ReadCloser, error) {
	options := backup.Options{Since: since, SkipDamaged: b.skipDamaged}
	if b.isOffline {
		return b.beginOffline(ctx, options)
	}
	query := url.Values{
		admin.ParameterSince:       {strconv.FormatUint(since.Sequence, 10)},
		admin.ParameterChain:       {since.Chain.String()},
		admin.ParameterSkipDamaged: {strconv.FormatBool(b.skipDamaged)},
	}
	response, err := b.Ask(ctx, target.AdminRequest{Method: http.MethodGet, Path: admin.BackupPath, Query: query, Accept: admin.BackupType})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func (b *backupCommand) beginOffline(ctx context.Context, options backup.Options) (io.ReadCloser, error) {
	config, err := b.Stopped(notesLog(b.line, slog.LevelWarn))
	if err != nil {
		return nil, err
	}
	opened, err := target.OpenIdle(ctx, config)
	if err != nil {
		return nil, err
	}
	return backup.ReadWritten(func(w io.Writer) error {
		_, err := backup.Make(ctx, opened, options, w)
		return errors.Join(err, opened.Close())
	}), nil
}

// toOutput copies the backup to standard output, and reads it on the way: a stream
// that was cut is an error here already.
func (b *backupCommand) toOutput(ctx context.Context) error {
	if b.full {
		return errors.New("a backup to standard output is always full: leave --full out")
	}
	if terminal.Is(b.out) {
		return errors.New("a backup is not for a terminal: name a directory, or send it to a file: backup - > registry.tar")
	}
	began := time.Now()
	stream, err := b.begin(ctx, store.Position{})
	if err != nil {
		return err
	}
	defer stream.Close()
	copied := io.TeeReader(stream, b.out)
	reader, err := backup.NewReader(copied)
	if err != nil {
		return err
	}
	progress := b.beginProgress(reader.Head())
	if err := reader.ReadThrough(progress.add); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, copied); err != nil { // the padding
		return fmt.Errorf("copying the backup: %w", err)
	}
	b.line.End()
	return b.report(b.notes, reader, reader.Damaged(), began)
}

// toDirectory makes or continues the backup in a directory.
func (b *backupCommand) toDirectory(ctx context.Context, path string) (err error) {
	began := time.Now()
	directory, err := folder.Take(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Release()) }()
	var since store.Position
	if !b.full {
		since = directory.Position()
	}
	stream, err := b.begin(ctx, since)
	if err != nil {
		return orFull(err)
	}
	defer stream.Close()
	reader, err := backup.NewReader(stream)
	if err != nil {
		return orFull(err)
	}
	progress := b.beginProgress(reader.Head())
	if err := directory.Unpack(ctx, reader, progress.add); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, stream) // the padding: who writes it is not cut off
	b.line.End()
	lacking := directory.Lacking()
	err = b.report(b.out, reader, lacking, began)
	if len(lacking) > len(reader.Damaged()) {
		err = fmt.Errorf("%w; an earlier backup into this directory left blobs out: publish the same content again, or make a whole backup by --full when verify finds nothing", err)
	}
	return err
}

// orFull says what to do where a backup cannot be continued.
func orFull(err error) error {
	if isNotContinued(err) {
		return fmt.Errorf("%w: --full makes one in this directory", err)
	}
	return err
}

// report says what was backed up, and which blobs the backup lacks.
func (b *backupCommand) report(out io.Writer, reader *backup.Reader, lacking []backup.DamagedBlob, began time.Time) error {
	head, end := reader.Head(), reader.End()
	kind := "full backup"
	if head.Since.Sequence > 0 {
		kind = fmt.Sprintf("backup since change %d", head.Since.Sequence)
	}
	fmt.Fprintf(out, "%s of registry %s as of change %d (%s): %s, %s, in %s\n",
		kind, head.Store, head.Position.Sequence, head.Created.Format(time.RFC3339), terminal.Counted(end.Lines, "change"), terminal.Amount(end.Blobs, "blob", end.Bytes), terminal.Elapsed(began))
	for _, damaged := range lacking {
		fmt.Fprintf(b.notes, "damaged: %s (%d bytes): %s\n", damaged.Digest, damaged.Size, damaged.Problem)
	}
	if n := len(lacking); n > 0 {
		return fmt.Errorf("%s damaged and not in the backup; verify lists what is damaged", areDamaged(n))
	}
	return nil
}

func areDamaged(blobs int) string {
	if blobs == 1 {
		return "1 blob is"
	}
	return terminal.Counted(int64(blobs), "blob") + " are"
}

// blobProgress shows how many blobs went by.
type blobProgress struct {
	line *terminal.Line
	step terminal.Step
}

func (b *backupCommand) beginProgress(head backup.Head) *blobProgress {
	return &blobProgress{b.line, terminal.Step{What: "backing up", Unit: "blob", Total: head.Expected.Blobs, TotalBytes: head.Expected.Bytes}}
}

// add counts one more. It may be called by one goroutine at a time.
func (p *blobProgress) add(size int64) {
	p.step.Done++
	p.step.Bytes += size
	p.line.Show(p.step)
}
