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
Makes the running server delete bytes that no file refers to. The server does this every
hour by itself. It deletes such bytes when they are older than a day and an earlier sweep
found them too.

When these bytes are unusually many, more than 1,000 blobs and more than 1 % of all, the
server deletes none. The metadata may then be too old for the bytes, for example because
only half of a registry was restored. When the server is sure that the metadata is older
than the bytes, it also refuses to publish and to delete. The command health says both.

Find the reason first. --confirm says that the metadata is right: the server then deletes
all bytes that no file refers to, for good.`,
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
				said += fmt.Sprintf(", %s withheld: unusually many; find the reason, then run the command with --confirm", terminal.Counted(answer.Withheld, "blob"))
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), said)
			return err
		},
	}
	command.Flags().BoolVar(&confirm, "confirm", false, "Say that the metadata is right, and delete the bytes even when they are unusually many")
	return command
}
