package client

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// Options are the flags that push and pull have in common.
type Options struct {
	secret secretFlags
	// Chosen says which files are transferred.
	Chosen Filter
	// Parallel is how many files are in progress at once.
	Parallel int
	// patience is how long a request is tried again without any progress.
	patience time.Duration
	// DryRun makes the command print what it would do, and do nothing.
	DryRun bool
	// Quiet makes the command print only errors.
	Quiet bool
}

// Flags gives a command the flags of the options.
func (o *Options) Flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&o.secret.user, "user", "", "User of the token or password; without a user, the token is sent as a bearer token")
	flags.StringVar(&o.secret.file, "token-file", "", "File with the token or password; default: the environment variable "+SecretVariable)
	flags.StringArrayVar(&o.Chosen.Include, "include", nil, "Only files that match the pattern, such as '*.tar.gz'; may be repeated")
	flags.StringArrayVar(&o.Chosen.Exclude, "exclude", nil, "No files that match the pattern; may be repeated")
	flags.IntVar(&o.Parallel, "parallel", 4, "How many files are transferred at a time")
	flags.DurationVar(&o.patience, "patience", 5*time.Minute, "How long to wait for a server that does nothing, and to try again without any progress")
	flags.BoolVar(&o.DryRun, "dry-run", false, "Print what the command would do, and do nothing")
	flags.BoolVarP(&o.Quiet, "quiet", "q", false, "Print only errors")
}

// Check reports values that are not allowed.
func (o *Options) Check() error {
	if o.Parallel < 1 || o.Parallel > 64 {
		return fmt.Errorf("--parallel is %d: write a number from 1 to 64", o.Parallel)
	}
	if o.patience <= 0 {
		return fmt.Errorf("--patience is %s: write a duration above zero", o.patience)
	}
	return o.Chosen.Check()
}

// userOf returns the user of the flag, else the user of the URL.
func (o *Options) userOf(to VersionURL) string {
	if o.secret.user != "" {
		return o.secret.user
	}
	return to.user
}

// Connect returns a client with the credentials of the flags or of the environment.
func (o *Options) Connect(command *cobra.Command, to VersionURL) (*Client, error) {
	authorization, err := o.secret.authorization(o.userOf(to))
	if err != nil {
		return nil, err
	}
	if authorization != "" && to.Base.Scheme == "http" && !isLocal(to.Base.Hostname()) {
		fmt.Fprintf(command.ErrOrStderr(), "warning: the token goes to %s without encryption; write https\n", to.Base.Host)
	}
	c := newClient(o.Parallel, o.patience)
	c.Authorization = authorization
	return c, nil
}

// Ask asks the person at the terminal for the token or password, and gives it to a client.
func (o *Options) Ask(command *cobra.Command, c *Client, to VersionURL) (err error) {
	asks := prompter{command.InOrStdin(), command.ErrOrStderr()}
	c.Authorization, err = asks.ask(o.userOf(to), to.Base.Host)
	return err
}

func isLocal(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// Summary prints the last line of a command, which says what became of the files. After an
// error it prints nothing, and returns the error.
func Summary(out io.Writer, err error, quiet bool, what string, files int, total int64, to VersionURL) error {
	if err != nil {
		return err
	}
	if !quiet {
		fmt.Fprintf(out, "%s %d files, %s: %s\n", what, files, humanize.IBytes(uint64(total)), to.Base)
	}
	return nil
}
