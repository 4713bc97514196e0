package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup/moving"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// shortPass is a pass after which no other one is needed before the source is stopped.
	shortPass = 10 * time.Second
	// mostPasses is how many there are where publishes are as fast as copying.
	mostPasses = 10
)

type copyCommand struct {
	meant, from, to      *target.Target
	fromConfig, toConfig string
	fromRoot, toRoot     string
	skipDamaged          bool
	out, notes           io.Writer
	line                 *terminal.Line
	nodes                []string // that have the source open
}

func newCopyCommand(meant *target.Target) *cobra.Command {
	c := &copyCommand{meant: meant}
	command := &cobra.Command{
		Use:   "copy --from <file> --to <file>",
		Short: "Copies a registry to other stores, while it is in use",
		Long: `
Copies the registry of one configuration to the stores of another one, such as from one
machine's disk to PostgreSQL and S3. Names, bytes, users, times, IDs, counts of
downloads and tokens are then the same.

Run it twice. The first run copies the bytes while the server of --from goes on
publishing, in passes that become short, and says when the target has all but what was
published just now. Then stop that server, or take the registry out of its
configuration, and run the same command again: it copies the rest, makes the names of
the target all at once, compares both registries and says how long that took. Then start
the servers of --to. Where the source is stopped from the beginning, one run is enough.

A run that was interrupted is run again: no bytes are copied twice. Until the copy is
done, no server takes the target for its own. The target must be empty, and nothing
there is ever overwritten.

Every byte is compared with its digest on the way. What is damaged ends the second
run, unless --skip-damaged lists it and goes on.

The source stays as it is. Do not start its server again once the target is used: both
have the same ID.

The exit status is 0 when the run did what it could, and 1 otherwise.`,
		Example: `  caddy generic-registry copy --from /etc/caddy/Caddyfile --to /etc/caddy/Caddyfile.new
  caddy generic-registry copy --from-root /var/lib/registry --to /etc/caddy/Caddyfile`,
		SuggestFor: []string{"move", "migrate", "mirror"},
		Args:       noArguments, SilenceUsage: true,
		RunE: interruptible(func(ctx context.Context, command *cobra.Command, _ []string) error {
			if command.Flags().Changed("config") || command.Flags().Changed("root") {
				return errors.New("copy has two registries: write --from and --to in place of --config, and --from-root and --to-root in place of --root")
			}
			c.out, c.notes = command.OutOrStdout(), command.ErrOrStderr()
			c.line = terminal.NewLine(c.notes)
			defer c.line.End()
			return c.run(ctx)
		}),
	}
	flags := command.Flags()
	flags.StringVar(&c.fromConfig, "from", "", "Configuration of the registry that is copied")
	flags.StringVar(&c.toConfig, "to", "", "Configuration of the registry that is made")
	flags.StringVar(&c.fromRoot, "from-root", "", "Root of the registry that is copied, where --from has several, or without --from")
	flags.StringVar(&c.toRoot, "to-root", "", "Root of the registry that is made, where --to has several, or without --to")
	flags.BoolVar(&c.skipDamaged, "skip-damaged", false, "Go on when bytes are damaged or missing, and list them")
	return command
}

func (c *copyCommand) run(ctx context.Context) (err error) {
	began := time.Now()
	c.from, c.to = c.meant.Another(c.fromConfig, c.fromRoot), c.meant.Another(c.toConfig, c.toRoot)
	source, err := c.from.Stopped(notesLog(c.line, slog.LevelWarn))
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	made, err := c.to.Stopped(notesLog(c.line, slog.LevelError))
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	if source.Root == made.Root || source.Key().Metadata == made.Key().Metadata || source.Key().Blobs == made.Key().Blobs {
		return fmt.Errorf("the source and the target share their root, %s, or a store: %s and %s: a copy needs others", source.Root, source.Key().Metadata, source.Key().Blobs)
	}
	opened, err := target.OpenIdle(ctx, source)
	isRunning := errors.Is(err, store.ErrLocked)
	if err != nil && !isRunning {
		return fmt.Errorf("the source: %w", err)
	}
	if opened != nil {
		defer func() { err = errors.Join(err, opened.Close()) }()
		if c.nodes, err = nodesOf(ctx, opened.Metadata()); err != nil {
			return fmt.Errorf("the source: %w", err)
		}
		isRunning = len(c.nodes) > 0
	}
	copied, err := c.begin(made)
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if isRunning {
		return c.whileRunning(ctx, copied, c.running(opened))
	}
	return c.finish(ctx, copied, moving.Opened{Registry: opened}, began)
}

// nodesOf names the other processes that have the stores of a registry open, or had so in the
// last minute and did not tell that they end.
func nodesOf(ctx context.Context, metadata store.MetadataStore) (names []string, err error) {
	shared, ok := metadata.(store.Nodes)
	if !ok {
		return nil, nil
	}
	nodes, err := shared.Present(ctx)
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return names, err
}

func (c *copyCommand) begin(made *pool.Config) (*moving.Copy, error) {
	return moving.Begin(moving.Target{
		Root: made.Root, Metadata: made.Metadata, Blobs: made.Blobs, Log: made.StoreLog,
		Vacant: func() error { return target.Vacant(made) },
		Progress: func(p moving.Progress) {
			c.line.Show(terminal.Step{What: "copying", Unit: "blob", Done: p.Blobs, Total: p.TotalBlobs, Bytes: p.Bytes, TotalBytes: p.TotalBytes})
		},
	})
}

// running is a source that servers have open: through the stores, where several processes may
// have those open, or through the endpoint of the server.
func (c *copyCommand) running(opened *registry.Registry) moving.Source {
	if opened != nil {
		return moving.Opened{Registry: opened}
	}
	return remoteSource{c.from}
}

// whileRunning copies the bytes until what is left is little.
func (c *copyCommand) whileRunning(ctx context.Context, copied *moving.Copy, from moving.Source) error {
	var since store.Position
	var pass moving.Pass
	for passes := 1; ; passes++ {
		var err error
		pass, err = copied.Pass(ctx, from, since)
		if isNotContinued(err) && since != (store.Position{}) {
			pass, err = copied.Pass(ctx, from, store.Position{})
		}
		if err != nil {
			return directory.OrPermission(err)
		}
		c.line.End()
		c.tell(pass)
		if pass.Took < shortPass || passes == mostPasses {
			break
		}
		since = pass.Position
	}
	if len(c.nodes) > 0 {
		fmt.Fprintf(c.notes, "the source is open in %s, as was told within the last minute\n", strings.Join(c.nodes, ", "))
	}
	_, err := fmt.Fprintf(c.out, "the target has all bytes as of change %d: stop the source, and run the same command again\n", pass.Position.Sequence)
	return err
}

// tell says what a pass did.
func (c *copyCommand) tell(pass moving.Pass) {
	fmt.Fprintf(c.notes, "copied %s in %s, as of change %d\n", terminal.Amount(pass.Blobs, "blob", pass.Bytes), pass.Took.Round(10*time.Millisecond), pass.Position.Sequence)
	for _, damaged := range pass.Lacking {
		fmt.Fprintf(c.notes, "damaged in the source: %s (%d bytes): %s\n", damaged.Digest, damaged.Size, damaged.Problem)
	}
}

// finish copies what is left of a source that is stopped, and makes the names of the target.
func (c *copyCommand) finish(ctx context.Context, copied *moving.Copy, from moving.Opened, began time.Time) error {
	pass, err := copied.Pass(ctx, from, store.Position{})
	if err != nil {
		return directory.OrPermission(err)
	}
	c.line.End()
	c.tell(pass)
	if n := len(pass.Lacking); n > 0 && !c.skipDamaged {
		return fmt.Errorf("%s damaged in the source: publish the same content there again, or copy without it by --skip-damaged", areDamaged(n))
	}
	sums, err := copied.Finish(waiting.WithProgress(ctx, c.line.Replaying("making the names")), from, pass.Lacking)
	c.line.End()
	if err != nil {
		return directory.OrPermission(err)
	}
	lacks := ""
	if n := len(pass.Lacking); n > 0 {
		lacks = fmt.Sprintf(", but %s damaged in the source and missing in the target: publish the same content there again", areDamaged(n))
	}
	_, err = fmt.Fprintf(c.out, "copied registry %s as of change %d: %s, %s, %s; source and target are equal%s\nthe source had to be stopped for %s\n",
		pass.Store, pass.Position.Sequence, terminal.Counted(sums.Versions, "version"), terminal.Amount(sums.Files, "file", sums.Bytes), terminal.Counted(sums.Tokens, "token"), lacks, terminal.Elapsed(began))
	return err
}

// remoteSource is a registry that a server has open.
type remoteSource struct{ *target.Target }

// Lines implements moving.Source.
func (r remoteSource) Lines(ctx context.Context, since store.Position) (io.ReadCloser, error) {
	query := url.Values{
		admin.ParameterSince:   {strconv.FormatUint(since.Sequence, 10)},
		admin.ParameterChain:   {since.Chain.String()},
		admin.ParameterTold:    {strconv.FormatBool(since == (store.Position{}))},
		admin.ParameterNoBytes: {"true"},
	}
	response, err := r.Ask(ctx, target.AdminRequest{Method: http.MethodGet, Path: admin.BackupPath, Query: query, Accept: admin.BackupType})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// Open implements moving.Source.
func (r remoteSource) Open(ctx context.Context, digest store.Digest) (io.ReadCloser, error) {
	response, err := r.Ask(ctx, target.AdminRequest{Method: http.MethodGet, Path: admin.BlobPath, Query: url.Values{admin.ParameterDigest: {digest.String()}}, Accept: admin.BlobType})
	var refused *admin.Refused
	if errors.As(err, &refused) {
		known := map[string]error{admin.CodeNoBlob: store.ErrBlobNotFound, admin.CodeDamaged: store.ErrDamaged}[refused.Code]
		if refused.Code == admin.CodeUnavailable {
			known = fmt.Errorf("%w: the source says: %w", store.ErrUnavailable, err)
		}
		return nil, cmp.Or(known, err)
	}
	if err != nil {
		return nil, err
	}
	return answered{response.Body}, nil
}

// answered is content that a server sends. The server cuts it where its store cannot be read,
// which may pass.
type answered struct{ io.ReadCloser }

func (a answered) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", moving.ErrCut, err)
	}
	return n, err
}

// isNotContinued tells whether there are no changes since a position.
func isNotContinued(err error) bool {
	var refused *admin.Refused
	return errors.Is(err, store.ErrNotContinued) || errors.As(err, &refused) && refused.Code == admin.CodeNotContinued
}
