package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
)

func newHealthCommand(t *target.Target) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:        "health",
		Short:      "Shows the state of the registries of a running Caddy",
		SuggestFor: []string{"status", "stats", "info", "ping", "list", "ls"},
		Long: `
Shows for each registry of a running Caddy whether files can be downloaded and published,
how much free space there is, how far the scrub is, which compares all files with their
digests, and which problems there are. --root chooses one registry.

The exit status is 0 when every registry is ready, which means that files can be
published and deleted, and 1 otherwise. A registry with damaged files is ready.`,
		Example: `  caddy generic-registry health
  caddy generic-registry health --config /etc/caddy/Caddyfile --json`,
		Args:         noArguments,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return showHealth(command.Context(), t, asJSON, command.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "Print the answer of the admin endpoint")
	return command
}

var errNotReady = errors.New("not every registry is ready")

func showHealth(ctx context.Context, t *target.Target, asJSON bool, out io.Writer) error {
	answer, err := t.Request(ctx, http.MethodGet, admin.HealthPath, nil, nil, http.StatusServiceUnavailable)
	if err != nil {
		return err
	}
	var all []health.Registry
	if err := json.Unmarshal(answer, &all); err != nil {
		return fmt.Errorf("reading the health: %w", err)
	}
	ready := true
	for _, one := range all {
		ready = ready && one.Ready
	}
	if asJSON {
		_, err = out.Write(answer)
	} else {
		err = printHealth(out, all)
	}
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		return errors.New("the configuration of this Caddy has no generic_registry")
	case !ready:
		return errNotReady
	}
	return nil
}

func printHealth(out io.Writer, all []health.Registry) error {
	var text strings.Builder
	for i, one := range all {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "%s: %s\n", one.Root, stateOf(one))
		for _, problem := range one.Problems {
			fmt.Fprintf(&text, "  problem: %s\n", problem)
		}
		for _, half := range []struct {
			name string
			is   *health.Store
		}{{"metadata", one.Metadata}, {"blobs", one.Blobs}} {
			if half.is != nil && half.is.Free > 0 {
				fmt.Fprintf(&text, "  %s: %s free, reserve %s\n", half.name, humanize.IBytes(half.is.Free), humanize.IBytes(half.is.Reserve))
			}
		}
		if one.Journal != nil {
			fmt.Fprintf(&text, "  journal: %s\n", terminal.Counted(int64(one.Journal.Sequence), "change"))
		}
		if one.Scrub != nil {
			fmt.Fprintf(&text, "  scrub: %s\n", scrubText(*one.Scrub))
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func stateOf(one health.Registry) string {
	switch {
	case one.Healthy:
		return "ready"
	case one.Ready:
		return "ready, with problems"
	case one.Live:
		return "not ready: files can be downloaded, but not published"
	}
	return "not ready: files cannot be downloaded"
}

// scrubText says how the pass in progress, or the last one, went.
func scrubText(scrub health.Scrub) string {
	did := fmt.Sprintf("%s, %d damaged", terminal.Amount(scrub.Blobs, "blob", scrub.Bytes), scrub.Damaged)
	switch {
	case scrub.Rate == 0:
		return "off"
	case scrub.UnderWay || !scrub.Started.IsZero() && scrub.Finished.IsZero():
		return did + ", in progress"
	case scrub.Finished.IsZero():
		return "not begun yet"
	}
	return did + ", finished " + dateOf(scrub.Finished, "")
}
