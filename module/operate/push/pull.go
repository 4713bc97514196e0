package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// NewPullCommand returns the command that fetches a version whole.
func NewPullCommand() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "pull <url of the version> [folder]",
		Short: "Fetches all files of a version",
		Long: `
Fetches the files of a version of a package into a folder (default: the current one),
several at once, and compares each with its SHA-256. A file has its name only once it was
compared. What was cut goes on where it was, in the next run too. A file that is there
already, with the right bytes, is left alone.

It works with every server that has Gitea's API of generic packages. The exit status is 0
when all files are there, and 1 when any is not.`,
		Example: `  caddy generic-registry pull https://example.com/api/packages/team/generic/tool/1.4.0 tool
  caddy generic-registry pull --include '*.deb' https://example.com/api/packages/team/generic/tool/latest`,
		SuggestFor:   []string{"download", "fetch", "get"},
		SilenceUsage: true,
		Args: func(command *cobra.Command, arguments []string) error {
			if len(arguments) < 1 || len(arguments) > 2 {
				return fmt.Errorf("write the URL of the version, and the folder: %s", command.Use)
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			return runPull(command, arguments[0], append(arguments[1:], ".")[0], o)
		},
	}
	o.flags(command)
	return command
}

func runPull(command *cobra.Command, place, folder string, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	from, err := parseTarget(place)
	if err != nil {
		return err
	}
	c, err := o.connect(command, from)
	if err != nil {
		return err
	}
	defer c.close()
	out := command.ErrOrStderr()
	files, err := c.list(command.Context(), from)
	if status(err) == http.StatusUnauthorized && c.authorization == "" {
		if c.authorization, err = (prompter{command.InOrStdin(), out}).ask(o.userOf(from), from.base.Host); err == nil {
			files, err = c.list(command.Context(), from)
		}
	}
	if err != nil {
		return err
	}
	if files, err = choose(files, o.chosen); err != nil {
		return err
	}
	var total int64
	for _, file := range files {
		total += max(file.Size, 0)
	}
	if o.dryRun {
		for _, file := range files {
			fmt.Fprintf(command.OutOrStdout(), "would fetch %s as %s\n", from.file(file.Name), filepath.Join(folder, file.Name))
		}
		return nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	shown := newMeter(out, "pulling", len(files), total, o.quiet)
	c.note = shown.say
	f := &fetcher{client: c, target: from, folder: folder, meter: shown}
	err = each(command.Context(), o.parallel, files, func(ctx context.Context, file remote) error {
		there, err := f.fetch(ctx, file)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
		text := "fetched "
		if there {
			text = "already there: "
		}
		shown.finished(file.Name, max(file.Size, 0), text+file.Name)
		return nil
	})
	shown.end()
	return summary(out, err, o.quiet, "fetched", len(files), total, from)
}

// choose drops what the patterns do not want, and refuses names that would leave the
// folder, or be one file in it.
func choose(files []remote, chosen filter) (kept []remote, err error) {
	first := make(map[string]bool)
	for _, file := range files {
		if !chosen.takes(file.Name) {
			continue
		}
		if !isFileName(file.Name) || first[foldName(file.Name)] {
			return nil, fmt.Errorf("the version has a file %q, which cannot be a file here", file.Name)
		}
		first[foldName(file.Name)] = true
		kept = append(kept, file)
	}
	if len(kept) == 0 {
		return nil, errors.New("there is nothing to pull: no file was chosen")
	}
	return kept, nil
}
