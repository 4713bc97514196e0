package push

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// NewCommand returns the command that publishes files into a version.
func NewCommand() *cobra.Command {
	var o pushOptions
	var names string
	command := &cobra.Command{
		Use:   "push <file|folder>... <url of the version>",
		Short: "Publishes files into a version",
		Long: `
Publishes files, and all files in folders, into a version of a package, several at a time.
Versions have no folders: a file is published under its own name. The command sends nothing
when two files have the same name (upper and lower case are the same), or when a name is
not allowed.

The command skips a file that the version contains already with the same bytes, and fails
when the published file has other bytes. When the server does not tell the SHA-256 of a
published file, the command reads that file. The server compares each file that is sent with
its SHA-256. Where the server has resumable uploads, large files are sent in pieces. These
uploads go on where they were cut, and pass proxies that limit the size of a request.

With --draft, the files go into a draft, which only writers of the package see. With
--publish, the command then publishes the draft: all files become visible together, when the
draft contains exactly these files with these SHA-256. Both flags need a server that has
drafts. The command says which files were published before. Without these flags, the command
fails when the version is a draft.

The command works with every server that has Gitea's API of generic packages. It takes the
token or password from --token-file or from the environment variable
` + client.SecretVariable + `, or asks for it on a terminal. The exit status is 0 when all
files are in the version, and 1 otherwise.`,
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
			return runCommand(command, arguments[:last], arguments[last], o, naming.FileNames(names))
		},
	}
	o.Flags(command)
	command.Flags().BoolVar(&o.draft, "draft", false, "Publish into a draft, which only writers of the package see")
	command.Flags().BoolVar(&o.publish, "publish", false, "Publish into a draft, and then publish the draft")
	command.Flags().StringVar(&names, "file-names", string(naming.Documented), "Which file names the server allows: documented, or gitea where the server has that option")
	return command
}

// pushOptions are those of push.
type pushOptions struct {
	client.Options
	// draft and publish say whether the files go into a draft, and whether it is published
	// then, which needs one.
	draft, publish bool
}

func runCommand(command *cobra.Command, arguments []string, place string, o pushOptions, names naming.FileNames) error {
	if names != naming.Documented && names != naming.Gitea {
		return fmt.Errorf("--file-names is %q: write %s or %s", names, naming.Documented, naming.Gitea)
	}
	if err := o.Check(); err != nil {
		return err
	}
	to, err := client.ParseVersionURL(place)
	if err != nil {
		return err
	}
	files, err := collect(arguments, o.Chosen, names)
	if err != nil {
		return err
	}
	var total int64
	for _, file := range files {
		total += file.size
	}
	out := command.ErrOrStderr()
	if o.DryRun {
		for _, file := range files {
			fmt.Fprintf(command.OutOrStdout(), "would %s %s (%s) as %s\n", o.would(), file.path, humanize.IBytes(uint64(file.size)), to.File(file.name))
		}
		return nil
	}
	c, err := o.Connect(command, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.Authorization == "" && client.IsPerson(command.InOrStdin()) {
		if err := o.Ask(command, c, to); err != nil {
			return err
		}
	}
	shown := terminal.NewMeter(out, "pushing", len(files), total, o.Quiet)
	c.Note = shown.Say
	p := &publishing{sender: &sender{Client: c, version: to, meter: shown, draft: o.draft || o.publish}, publish: o.publish, digests: make(map[string]store.Digest)}
	err = p.all(command.Context(), o.Parallel, files)
	shown.End()
	return client.Summary(out, err, o.Quiet, o.did(p.before, len(files)), len(files), total, to)
}

// would says what would become of a file.
func (o pushOptions) would() string {
	if o.draft || o.publish {
		return "put into a draft"
	}
	return "publish"
}

// did says what became of the files, in the last line. Of those that were to go into a draft,
// some may have been published before.
func (o pushOptions) did(before, files int) string {
	switch {
	case !o.draft || o.publish:
		return "published"
	case before == files:
		return "published already, and in no draft:"
	case before > 0:
		return fmt.Sprintf("%d published already, the others not published yet, in a draft:", before)
	}
	return "not published yet, in a draft:"
}
