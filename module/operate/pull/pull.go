package pull

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// NewCommand returns the command that fetches a version whole.
func NewCommand() *cobra.Command {
	var o client.Options
	command := &cobra.Command{
		Use:   "pull <url of the version> [folder]",
		Short: "Downloads all files of a version",
		Long: `
Downloads the files of a version of a package into a folder (default: the current one),
several at a time, and compares each with its SHA-256. A file gets its name only after the
comparison. A download that was cut goes on where it was, in the next run too. The command
skips a file that exists already with the right bytes. What stands in place of a version,
such as latest, is looked up once, so that all files are of one version.

The command works with every server that has Gitea's API of generic packages. The exit
status is 0 when all files are in the folder, and 1 otherwise.`,
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
			return runCommand(command, arguments[0], append(arguments[1:], ".")[0], o)
		},
	}
	o.Flags(command)
	return command
}

func runCommand(command *cobra.Command, place, folder string, o client.Options) error {
	if err := o.Check(); err != nil {
		return err
	}
	from, err := client.ParseVersionURL(place)
	if err != nil {
		return err
	}
	c, err := o.Connect(command, from)
	if err != nil {
		return err
	}
	defer c.Close()
	out := command.ErrOrStderr()
	listing := &lister{c, from}
	files, err := listing.list(command.Context())
	if client.Status(err) == http.StatusUnauthorized && c.Authorization == "" {
		if err = o.Ask(command, c, from); err == nil {
			files, err = listing.list(command.Context())
		}
	}
	if err != nil {
		return err
	}
	from = listing.version
	if files, err = choose(files, o.Chosen); err != nil {
		return err
	}
	var total int64
	for _, file := range files {
		total += max(file.Size, 0)
	}
	if o.DryRun {
		for _, file := range files {
			fmt.Fprintf(command.OutOrStdout(), "would fetch %s as %s\n", from.File(file.Name), filepath.Join(folder, file.Name))
		}
		return nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	shown := terminal.NewMeter(out, "pulling", len(files), total, o.Quiet)
	c.Note = shown.Say
	f := &fetcher{Client: c, version: from, folder: folder, meter: shown}
	err = client.Each(command.Context(), o.Parallel, files, func(ctx context.Context, file remote) error {
		there, err := f.fetch(ctx, file)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name, err)
		}
		text := "fetched "
		if there {
			text = "already there: "
		}
		shown.Finished(file.Name, max(file.Size, 0), text+file.Name)
		return nil
	})
	shown.End()
	return client.Summary(out, err, o.Quiet, "fetched", len(files), total, from)
}

// choose drops what the patterns do not want, and refuses names that would leave the
// folder, or be one file in it.
func choose(files []remote, chosen client.Filter) (kept []remote, err error) {
	first := make(map[string]bool)
	for _, file := range files {
		if !chosen.Takes(file.Name) {
			continue
		}
		if !isFileName(file.Name) || first[store.Fold(file.Name)] {
			return nil, fmt.Errorf("the version has a file %q, which cannot be a file here", file.Name)
		}
		first[store.Fold(file.Name)] = true
		kept = append(kept, file)
	}
	if len(kept) == 0 {
		return nil, errors.New("there is nothing to pull: no file was chosen")
	}
	return kept, nil
}
