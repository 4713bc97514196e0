package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

func tokenCommand(t *target.Target) *cobra.Command {
	command := &cobra.Command{
		Use:   "token",
		Short: "Makes, lists and revokes tokens",
		Long: `
Makes, lists and revokes the tokens of a registry, through the running server.

Sites that have ` + "`generic_registry_auth`" + ` with the root of the registry accept its tokens.
A token is shown once, when it is made; the registry keeps only its SHA-256.`,
		Example: `  caddy generic-registry token create --name ci --user ci --scope write --owner team --expires 90d
  caddy generic-registry token list
  caddy generic-registry token revoke --name ci`,
		SuggestFor:   []string{"tokens", "user", "users", "key"},
		Args:         nextCommand,
		SilenceUsage: true,
		RunE:         func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(tokenCreateCommand(t), tokenListCommand(t), tokenRevokeCommand(t))
	return command
}

func tokenCreateCommand(t *target.Target) *cobra.Command {
	var draft admin.Token
	var expires string
	command := &cobra.Command{
		Use:   "create --name <name> --user <user> [--scope <action>,...] [--owner <pattern>]... [--package <pattern>]... [--expires <duration>|<date>]",
		Short: "Makes a token and prints it once",
		Long: `
Makes a token and prints it to standard output. The token cannot be shown again.

A client with the token acts as the user, within the scope. The scope is the actions read,
write and delete (write and delete include read) on the owners and packages whose names
match one of the patterns. The token works at once, without a reload.

The flags --scope, --owner and --package take several values, separated by commas, and
may be repeated.`,
		Example: `  caddy generic-registry token create --name ci --user ci --scope write --owner team --expires 90d
  TOKEN=$(caddy generic-registry token create --name nightly --user ci --owner 'team,other-*')`,
		SuggestFor:   []string{"add", "new", "make"},
		Args:         noArguments,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			if draft.Name == "" || draft.User == "" {
				return errors.New("write the name of the token and the user that it acts as, such as --name ci --user ci")
			}
			if draft.Expires, err = parseExpiry(expires, time.Now()); err != nil {
				return err
			}
			return createToken(command.Context(), t, draft, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&draft.Name, "name", "", "Name of the token, such as what it is for; no two tokens have the same name")
	flags.StringVar(&draft.User, "user", "", "User that a client with the token acts as")
	flags.StringSliceVar(&draft.Actions, "scope", []string{string(grant.Read)}, "Actions: read, write, delete")
	flags.StringSliceVar(&draft.Owners, "owner", nil, "Patterns of the owners that the token is for (default: all)")
	flags.StringSliceVar(&draft.Packages, "package", nil, "Patterns of the packages that the token is for (default: all)")
	flags.StringVar(&expires, "expires", "", "When the token expires: a duration such as 90d, or a date such as 2027-06-30 (default: never)")
	return command
}

func createToken(ctx context.Context, t *target.Target, draft admin.Token, out, notes io.Writer) error {
	body, err := json.Marshal(draft)
	if err != nil {
		return fmt.Errorf("encoding the token: %w", err)
	}
	answer, err := t.Request(ctx, http.MethodPost, admin.TokensPath, nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	var made admin.Token
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	fmt.Fprintf(notes, "token %s (%s) for user %s: scope %s, owners %s, packages %s, expires %s\n",
		made.Name, made.ID, made.User, strings.Join(made.Actions, ","), orAll(made.Owners), orAll(made.Packages), dateOf(made.Expires, "never"))
	if made.Notice != "" {
		fmt.Fprintln(notes, "warning:", made.Notice)
	}
	fmt.Fprintln(notes, "The token is shown only now:")
	_, err = fmt.Fprintln(out, made.Text)
	return err
}

// parseExpiry reads a duration from now, or a date.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" || text == "never" {
		return time.Time{}, nil
	}
	if duration, err := caddy.ParseDuration(text); err == nil {
		return now.Add(duration).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--expires %q: write a duration such as 90d, a date such as 2027-06-30, or never", text)
}

func tokenListCommand(t *target.Target) *cobra.Command {
	return &cobra.Command{
		Use:          "list",
		Short:        "Lists the tokens, without their secrets",
		SuggestFor:   []string{"ls", "show"},
		Args:         noArguments,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			answer, err := t.Request(command.Context(), http.MethodGet, admin.TokensPath, nil, nil)
			if err != nil {
				return err
			}
			var tokens []admin.Token
			if err := json.Unmarshal(answer, &tokens); err != nil {
				return fmt.Errorf("reading the tokens: %w", err)
			}
			return printTokens(command.OutOrStdout(), tokens)
		},
	}
}

func printTokens(out io.Writer, tokens []admin.Token) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tUSER\tSCOPE\tOWNERS\tPACKAGES\tCREATED\tEXPIRES\tLAST USED")
	for _, token := range tokens {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", token.ID, token.Name, token.User,
			strings.Join(token.Actions, ","), orAll(token.Owners), orAll(token.Packages),
			dateOf(token.Created, "-"), dateOf(token.Expires, "never"), dateOf(token.LastUsed, "-"))
	}
	return table.Flush()
}

func orAll(patterns []string) string {
	if len(patterns) == 0 {
		return "*"
	}
	return strings.Join(patterns, ",")
}

func dateOf(at time.Time, none string) string {
	if at.IsZero() {
		return none
	}
	return at.Format(time.RFC3339)
}

func tokenRevokeCommand(t *target.Target) *cobra.Command {
	var name string
	command := &cobra.Command{
		Use:        "revoke <id>|<name>",
		Short:      "Revokes a token; it takes effect at once",
		SuggestFor: []string{"delete", "remove", "rm"},
		Example: `  caddy generic-registry token revoke ci
  caddy generic-registry token revoke --name ci`,
		Args: func(command *cobra.Command, arguments []string) error {
			if given := len(arguments); given > 1 || (given == 1) == (name != "") {
				return fmt.Errorf("write the ID or the name of one token: %s <id>|<name>, or --name <name>", command.CommandPath())
			}
			return nil
		},
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			query := url.Values{admin.ParameterName: {name}}
			if len(arguments) > 0 {
				query = url.Values{admin.ParameterToken: arguments}
			}
			return revokeToken(command.Context(), t, query, command.ErrOrStderr())
		},
	}
	command.Flags().StringVar(&name, "name", "", "Name of the token, when no token with that ID is meant")
	return command
}

func revokeToken(ctx context.Context, t *target.Target, query url.Values, notes io.Writer) error {
	answer, err := t.Request(ctx, http.MethodDelete, admin.TokensPath, query, nil)
	if err != nil {
		return err
	}
	var revoked admin.Token
	if err := json.Unmarshal(answer, &revoked); err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	_, err = fmt.Fprintf(notes, "token %s (%s) of user %s is revoked\n", revoked.Name, revoked.ID, revoked.User)
	return err
}
