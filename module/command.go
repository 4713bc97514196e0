package module

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "generic-registry",
		Usage: "<command>",
		Short: "Manages package registries",
		Long: `
Manages the registries of a running Caddy through its admin endpoint, whose
address is taken from --address, from --config, or is the default one.

With several registries open, --root says which one is meant. Commands for a stopped
server (restore, rebuild, and with --offline backup and verify) ask no endpoint: they
open the registry at --root themselves.`,
		CobraFunc: addCommands,
	})
}

func addCommands(root *cobra.Command) {
	root.Args = cobra.NoArgs
	root.RunE = func(*cobra.Command, []string) error { return root.Help() }
	target := new(target)
	flags := root.PersistentFlags()
	flags.StringVar(&target.address, "address", "", "Address of Caddy's admin endpoint")
	flags.StringVarP(&target.config, "config", "c", "", "Configuration file that has the address")
	flags.StringVarP(&target.adapter, "adapter", "a", "", "Adapter of the configuration file")
	flags.StringVar(&target.root, "root", "", "Root of the registry, needed where there are several")
	root.AddCommand(
		tokenCommand(target), newBackupCommand(target), newRestoreCommand(target), newRebuildCommand(target), newVerifyCommand(target),
	)
}

// target is the registry of a running Caddy that a command is for.
type target struct{ address, config, adapter, root string }

// request asks the admin endpoint and returns the answer.
func (t *target) request(method, path string, body io.Reader) ([]byte, error) {
	response, err := t.stream(method, path, nil, body)
	if err != nil {
		return nil, err
	}
	defer response.Close()
	answer, err := io.ReadAll(io.LimitReader(response, maxAdminAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return answer, nil
}

// stream asks the admin endpoint for an escaped path and returns the answer to be
// read, however long it is.
func (t *target) stream(method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(t.address, nil, t.config, t.adapter)
	if err != nil {
		return nil, fmt.Errorf("finding the address of the admin endpoint: %w", err)
	}
	if query == nil {
		query = make(url.Values)
	}
	if t.root != "" {
		root, err := resolveRoot(t.root)
		if err != nil {
			return nil, err
		}
		query.Set("root", root)
	}
	uri := adminPath + path
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	response, err := caddycmd.AdminAPIRequest(address, method, uri, http.Header{"Accept": {"*/*"}}, body)
	if err != nil {
		return nil, explain(address, err)
	}
	return response.Body, nil
}

const maxAdminAnswer = 64 << 20

// explain says what to do about an admin endpoint that does not answer.
func explain(address string, err error) error {
	if text := err.Error(); strings.Contains(text, "performing request") {
		return fmt.Errorf("no admin endpoint answers at %s: is Caddy running, does its configuration say `admin off`, is another address meant (--address, --config)? %w", address, err)
	} else if strings.Contains(text, "HTTP 404: 404 page not found") {
		return fmt.Errorf("the Caddy at %s has no generic_registry: %w", address, err)
	}
	return err
}
