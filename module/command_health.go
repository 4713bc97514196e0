package module

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
)

func newHealthCommand(t *target) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:        "health",
		Short:      "Says how the registries of a running Caddy are",
		SuggestFor: []string{"status", "stats", "info", "ping", "list", "ls"},
		Long: `
Says of each registry of a running Caddy whether files can be read and published, how
much free space there is, how far the background check of all files is, and what an
administrator should look at. --root chooses one registry.

The exit status is 0 when every registry is ready, which means that files can be
published and deleted, and 1 otherwise. Damaged files leave a registry ready.`,
		Example: `  caddy generic-registry health
  caddy generic-registry health --config /etc/caddy/Caddyfile --json`,
		Args:         noArguments,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return t.showHealth(command.Context(), asJSON, command.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "Print what the admin endpoint answers")
	return command
}

var errNotReady = errors.New("not every registry is ready")

func (t *target) showHealth(ctx context.Context, asJSON bool, out io.Writer) error {
	answer, err := t.request(ctx, http.MethodGet, healthPath, nil, nil, http.StatusServiceUnavailable)
	if err != nil {
		return err
	}
	var all []healthJSON
	if err := json.Unmarshal(answer, &all); err != nil {
		return fmt.Errorf("reading the health: %w", err)
	}
	ready := true
	for _, health := range all {
		ready = ready && health.Ready
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

func printHealth(out io.Writer, all []healthJSON) error {
	var text strings.Builder
	for i, health := range all {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "%s: %s\n", health.Root, stateOf(health))
		for _, problem := range health.Problems {
			fmt.Fprintf(&text, "  problem: %s\n", problem)
		}
		for _, store := range []struct {
			name string
			is   *storeJSON
		}{{"metadata", health.Metadata}, {"blobs", health.Blobs}} {
			if store.is != nil && store.is.Free > 0 {
				fmt.Fprintf(&text, "  %s: %s free, reserve %s\n", store.name, humanize.IBytes(store.is.Free), humanize.IBytes(store.is.Reserve))
			}
		}
		if health.Journal != nil {
			fmt.Fprintf(&text, "  journal: %s\n", counted(int64(health.Journal.Sequence), "change"))
		}
		if health.Scrub != nil {
			fmt.Fprintf(&text, "  scrub: %s\n", scrubText(*health.Scrub))
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func stateOf(health healthJSON) string {
	switch {
	case health.Healthy:
		return "ready"
	case health.Ready:
		return "ready, with problems"
	case health.Live:
		return "not ready: files can be read, and not published"
	}
	return "not ready: files cannot be read"
}

// scrubText says how the pass in progress, or the last one, went.
func scrubText(scrub scrubJSON) string {
	did := fmt.Sprintf("%s, %d damaged", amount(scrub.Blobs, "blob", scrub.Bytes), scrub.Damaged)
	switch {
	case scrub.Rate == 0:
		return "off"
	case scrub.UnderWay || scrub.Started != nil && scrub.Finished == nil:
		return did + ", in progress"
	case scrub.Finished == nil:
		return "not begun yet"
	}
	return did + ", finished " + dateOf(scrub.Finished, "")
}
