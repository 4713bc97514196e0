package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// options are what push and pull have in common.
type options struct {
	secret   secretFlags
	chosen   filter
	parallel int
	patience time.Duration
	dryRun   bool
	quiet    bool
}

func (o *options) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&o.secret.user, "user", "", "User of the token or password; without it a bearer token is sent")
	flags.StringVar(&o.secret.file, "token-file", "", "File with the token or password; default: the environment variable "+secretVariable)
	flags.StringArrayVar(&o.chosen.include, "include", nil, "Only files that match the pattern, such as '*.tar.gz'; may be repeated")
	flags.StringArrayVar(&o.chosen.exclude, "exclude", nil, "No files that match the pattern; may be repeated")
	flags.IntVar(&o.parallel, "parallel", 4, "How many files are in progress at once")
	flags.DurationVar(&o.patience, "patience", 5*time.Minute, "For how long it is tried again while nothing goes forward")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Say what would be done, and do nothing")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "Say only what goes wrong")
}

func (o *options) check() error {
	if o.parallel < 1 || o.parallel > 64 {
		return fmt.Errorf("--parallel is %d: write a number from 1 to 64", o.parallel)
	}
	if o.patience < 0 {
		return fmt.Errorf("--patience is %s: write a duration above zero", o.patience)
	}
	return o.chosen.check()
}

// NewPushCommand returns the command that publishes files into a version.
func NewPushCommand() *cobra.Command {
	var o pushOptions
	var names string
	command := &cobra.Command{
		Use:   "push <file|folder>... <url of the version>",
		Short: "Publishes files into a version",
		Long: `
Publishes files, and all files in folders, into a version of a package, several at once.
Versions have no folders: a file is published under its own name. Nothing is sent while two
names are equal (upper and lower case are the same), or a name is not allowed.

A file that the version has already, with the same bytes, is left alone. One with other
bytes fails. Each file is sent with its SHA-256, which the server compares. Where the server
offers resumable uploads, large files go up in pieces, and go on where they were cut, and
also pass proxies that limit the size of a request.

With --draft the files go into a draft, which only those see who may publish in the package.
With --publish the version becomes visible at once, when all files are there and it has no
others: the server compares their SHA-256. Both need a server that has drafts.

It works with every server that has Gitea's API of generic packages. The token or password
is taken from --token-file, from the environment variable ` + secretVariable + `, or asked for on
a terminal. The exit status is 0 when all files are there, and 1 when any is not.`,
		Example: `  caddy generic-registry push dist https://example.com/api/packages/team/generic/tool/1.4.0
  caddy generic-registry push --publish dist https://example.com/api/packages/team/generic/tool/1.5.0
  caddy generic-registry push --exclude '*.map' --user alice app.tar.gz docs https://example.com/api/packages/alice/generic/app/2.0`,
		SuggestFor:   []string{"upload", "publish", "put"},
		SilenceUsage: true,
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) < 2 {
				return fmt.Errorf("write the files or folders, and then the URL of the version: %s", command.Use)
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			last := len(arguments) - 1
			return runPush(command, arguments[:last], arguments[last], o, store.FileNames(names))
		},
	}
	o.flags(command)
	command.Flags().BoolVar(&o.draft, "draft", false, "Publish into a draft, which others do not see")
	command.Flags().BoolVar(&o.publish, "publish", false, "Publish into a draft, and then all of it at once")
	command.Flags().StringVar(&names, "file-names", string(store.FileNamesDocumented), "Which names the server takes: documented, or gitea where it has that option")
	return command
}

// pushOptions are those of push.
type pushOptions struct {
	options
	// draft and publish say whether the files go into a draft, and whether it is published
	// then, which needs one.
	draft, publish bool
}

func runPush(command *cobra.Command, arguments []string, place string, o pushOptions, names store.FileNames) error {
	if names != store.FileNamesDocumented && names != store.FileNamesGitea {
		return fmt.Errorf("--file-names is %q: write %s or %s", names, store.FileNamesDocumented, store.FileNamesGitea)
	}
	if err := o.check(); err != nil {
		return err
	}
	to, err := parseTarget(place)
	if err != nil {
		return err
	}
	files, err := collect(arguments, o.chosen, names)
	if err != nil {
		return err
	}
	var total int64
	for _, file := range files {
		total += file.size
	}
	out := command.ErrOrStderr()
	if o.dryRun {
		for _, file := range files {
			fmt.Fprintf(command.OutOrStdout(), "would %s %s (%s) as %s\n", o.would(), file.path, humanize.IBytes(uint64(file.size)), to.file(file.name))
		}
		return nil
	}
	c, err := o.connect(command, to)
	if err != nil {
		return err
	}
	defer c.close()
	if c.authorization == "" {
		if asks := (prompter{command.InOrStdin(), out}); asks.isPerson() {
			if c.authorization, err = asks.ask(o.userOf(to), to.base.Host); err != nil {
				return err
			}
		}
	}
	shown := newMeter(out, "pushing", len(files), total, o.quiet)
	c.note = shown.say
	p := &publishing{sender: &sender{client: c, target: to, meter: shown, draft: o.draft || o.publish}, publish: o.publish, digests: make(map[string]store.Digest)}
	err = p.all(command.Context(), o.parallel, files)
	shown.end()
	return summary(out, err, o.quiet, o.did(), len(files), total, to)
}

// would says what would become of a file.
func (o pushOptions) would() string {
	if o.draft || o.publish {
		return "put into a draft"
	}
	return "publish"
}

// did says what became of the files, in the last line.
func (o pushOptions) did() string {
	if o.draft && !o.publish {
		return "not published yet, in a draft:"
	}
	return "published"
}

// userOf returns the user of the flags, or of the URL.
func (o *options) userOf(to target) string {
	if o.secret.user != "" {
		return o.secret.user
	}
	return to.user
}

// connect returns a client with the credentials that flags and environment have.
func (o *options) connect(command *cobra.Command, to target) (*client, error) {
	authorization, err := o.secret.authorization(o.userOf(to))
	if err != nil {
		return nil, err
	}
	if authorization != "" && to.base.Scheme == "http" && !isLocal(to.base.Hostname()) {
		fmt.Fprintf(command.ErrOrStderr(), "warning: the token goes to %s without encryption; write https\n", to.base.Host)
	}
	c := newClient(o.parallel)
	c.authorization, c.patience = authorization, o.patience
	return c, nil
}

func isLocal(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// advised says how to sign in when the server wants that.
func advised(err error) error {
	if status(err) == http.StatusUnauthorized {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// each does something with each item, several at once, and returns what went wrong. After
// a refusal of the user it begins no more.
func each[T any](ctx context.Context, parallel int, items []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan T)
	var workers sync.WaitGroup
	var mu sync.Mutex
	var problems []error
	for range min(parallel, len(items)) {
		workers.Go(func() {
			for item := range queue {
				err := do(ctx, item)
				if err == nil {
					continue
				}
				mu.Lock()
				problems = append(problems, err)
				mu.Unlock()
				if code := status(err); code == http.StatusUnauthorized || code == http.StatusForbidden {
					cancel() // the others would hear the same
				}
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		select {
		case queue <- item:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	real := problems[:0:0]
	for _, problem := range problems {
		if !errors.Is(problem, context.Canceled) {
			real = append(real, problem)
		}
	}
	if len(real) == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(real...)
}

// summary says how it ended, as the last line.
func summary(out io.Writer, err error, quiet bool, what string, files int, total int64, to target) error {
	if err != nil {
		return err
	}
	if !quiet {
		fmt.Fprintf(out, "%s %d files, %s: %s\n", what, files, humanize.IBytes(uint64(total)), to.base)
	}
	return nil
}
