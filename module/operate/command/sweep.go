package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
)

func newSweepCommand(t *target.Target) *cobra.Command {
	var confirm bool
	command := &cobra.Command{
		Use:   "sweep [--confirm]",
		Short: "Deletes stored bytes that no file refers to",
		Long: `
Has the running server delete bytes that no file refers to, as it does by itself every
hour. It deletes those that are older than a day and that an earlier sweep found too.

When they are unusually many, more than 1,000 and more than 1 % of all, the server
deletes none: the metadata may be too old for the bytes, for example after only half of
a registry was restored. When the metadata has fewer changes than the bytes have seen,
it also refuses to publish and to delete. The health of the registry tells both.

Look for the reason first. With --confirm you say that the metadata is right: what no
file of it refers to is then deleted for good.`,
		Example: `  caddy generic-registry sweep
  caddy generic-registry sweep --confirm`,
		Args:         noArguments,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			var query url.Values
			if confirm {
				query = url.Values{admin.ParameterConfirm: {"true"}}
			}
			text, err := t.Request(command.Context(), http.MethodPost, admin.SweepPath, query, nil)
			if err != nil {
				return err
			}
			var answer admin.Swept
			if err := json.Unmarshal(text, &answer); err != nil {
				return fmt.Errorf("reading the answer: %w", err)
			}
			said := terminal.Counted(int64(answer.Deleted), "blob") + " deleted"
			if answer.Withheld > 0 {
				said += fmt.Sprintf(", %s withheld: unusually many; look for the reason, then run it with --confirm", terminal.Counted(answer.Withheld, "blob"))
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), said)
			return err
		},
	}
	command.Flags().BoolVar(&confirm, "confirm", false, "The metadata is right: delete also when that is unusually much")
	return command
}
