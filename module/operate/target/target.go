package target

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

// Target is the registry that a command is for, as its flags say.
type Target struct {
	address, config, adapter string
	// Root of the registry. Empty where the user did not say it.
	Root string

	mu    sync.Mutex
	asked *endpoint // that Ask asks, once it is known
}

// Another is the registry of another configuration, or one at a root, beside the same flags.
func (t *Target) Another(config, root string) *Target {
	return &Target{address: t.address, adapter: t.adapter, config: config, Root: root}
}

// Flags gives a command, and those below it, the flags that say which registry is meant.
func (t *Target) Flags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&t.address, "address", "", "Address of Caddy's admin endpoint, such as localhost:2019 or unix//run/caddy/admin.sock")
	flags.StringVarP(&t.config, "config", "c", "", "Caddy's configuration, which says where the admin endpoint and the registries are")
	flags.StringVarP(&t.adapter, "adapter", "a", "", "Adapter of the configuration, when the name of the file does not tell it")
	flags.StringVar(&t.Root, "root", "", "Root of the registry; required where there are several")
}

// Request asks the admin endpoint and returns the whole answer. Statuses in also are no
// errors, besides 200.
func (t *Target) Request(ctx context.Context, method, path string, query url.Values, body io.Reader, also ...int) ([]byte, error) {
	response, err := t.Ask(ctx, AdminRequest{Method: method, Path: path, Query: query, body: body, Accept: admin.JSONType}, also...)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return answer, nil
}

const maxAdminAnswer = 64 << 20

// Ask asks the admin endpoint about the registry that is meant, and returns the answer to be
// read, however long it is. The path is below the one that the registry's endpoint has.
// Statuses in also are no errors, besides 200.
func (t *Target) Ask(ctx context.Context, asked AdminRequest, also ...int) (*http.Response, error) {
	endpoint, err := t.endpoint()
	if err != nil {
		return nil, err
	}
	if asked.Query == nil {
		asked.Query = make(url.Values)
	}
	if t.Root != "" {
		root, err := pool.ResolveRoot(t.Root)
		if err != nil {
			return nil, err
		}
		asked.Query.Set("root", root)
	}
	asked.Path = admin.Path + asked.Path
	return endpoint.ask(ctx, asked, also...)
}

// endpoint is where the admin endpoint is. Its connections are used again.
func (t *Target) endpoint() (*endpoint, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked != nil {
		return t.asked, nil
	}
	address, err := t.adminAddress()
	if err != nil {
		return nil, err
	}
	t.asked, err = newEndpoint(address)
	return t.asked, err
}
