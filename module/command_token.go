package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func tokenCommand(t *target) *cobra.Command {
	command := &cobra.Command{
		Use:   "token",
		Short: "Makes, lists and revokes tokens",
		Args:  cobra.NoArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(tokenCreateCommand(t), tokenListCommand(t), tokenRevokeCommand(t))
	return command
}

func tokenCreateCommand(t *target) *cobra.Command {
	var draft tokenJSON
	var expires string
	command := &cobra.Command{
		Use:   "create --name <name> --user <user> [--scope <action>,...] [--owner <pattern>]... [--package <pattern>]... [--expires <duration>|<date>]",
		Short: "Makes a token and prints it, this once",
		Long: `
Makes a token and prints it to standard output. Nobody can find it out again.

Its bearer acts as the user, within the scope: the actions read, write and delete
(write and delete have read in them) on the owners and packages whose names match
one of the patterns. The token works at once, without a reload.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			if draft.Expires, err = parseExpiry(expires, time.Now()); err != nil {
				return err
			}
			return t.createToken(draft, command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	flags.StringVar(&draft.Name, "name", "", "What the token is for; no two have the same")
	flags.StringVar(&draft.User, "user", "", "The user whom its bearer acts as")
	flags.StringSliceVar(&draft.Actions, "scope", []string{string(registry.ActionRead)}, "Actions: read, write, delete")
	flags.StringArrayVar(&draft.Owners, "owner", nil, "Pattern of owners that it is for (default: all)")
	flags.StringArrayVar(&draft.Packages, "package", nil, "Pattern of packages that it is for (default: all)")
	flags.StringVar(&expires, "expires", "", "When it ends: a duration such as 90d, or a date such as 2027-06-30 (default: never)")
	for _, required := range []string{"name", "user"} {
		_ = command.MarkFlagRequired(required) // fails only for a flag that is not there
	}
	return command
}

func (t *target) createToken(draft tokenJSON, out, notes io.Writer) error {
	body, err := json.Marshal(draft)
	if err != nil {
		return fmt.Errorf("encoding the token: %w", err)
	}
	answer, err := t.request(http.MethodPost, tokensPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	var made tokenJSON
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	fmt.Fprintf(notes, "token %s (%s) for user %s, expires %s; this is the only time it is shown:\n", made.Name, made.ID, made.User, dateOf(made.Expires, "never"))
	_, err = fmt.Fprintln(out, made.Text)
	return err
}

// parseExpiry reads a duration from now or a date, which is the end of it.
func parseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "" || text == "never" {
		return nil, nil
	}
	if duration, err := caddy.ParseDuration(text); err == nil {
		at := now.Add(duration).UTC()
		return &at, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return &at, nil
		}
	}
	return nil, fmt.Errorf("--expires %q: write a duration such as 90d, a date such as 2027-06-30, or never", text)
}

func tokenListCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:          "list",
		Short:        "Lists the tokens, without their secrets",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			answer, err := t.request(http.MethodGet, tokensPath, nil)
			if err != nil {
				return err
			}
			var tokens []tokenJSON
			if err := json.Unmarshal(answer, &tokens); err != nil {
				return fmt.Errorf("reading the tokens: %w", err)
			}
			return printTokens(command.OutOrStdout(), tokens)
		},
	}
}

func printTokens(out io.Writer, tokens []tokenJSON) error {
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

func dateOf(at *time.Time, none string) string {
	if at == nil {
		return none
	}
	return at.Format(time.RFC3339)
}

func tokenRevokeCommand(t *target) *cobra.Command {
	return &cobra.Command{
		Use:          "revoke <id>|<name>",
		Short:        "Revokes a token, at once",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, arguments []string) error {
			if _, err := t.request(http.MethodDelete, tokensPath+"/"+url.PathEscape(arguments[0]), nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(command.ErrOrStderr(), "token %s is revoked\n", arguments[0])
			return err
		},
	}
}
