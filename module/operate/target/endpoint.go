package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
)

// endpoint is the admin endpoint of a running Caddy.
type endpoint struct {
	// shown is the address as the user wrote it.
	shown   string
	address caddy.NetworkAddress
	// socket is the path of a unix socket. Empty for TCP.
	socket string
	client *http.Client
}

// newEndpoint reads an address as Caddy's option `admin` has it: host and port, or a
// unix socket, which may be followed by its permissions.
func newEndpoint(text string) (*endpoint, error) {
	address, err := caddy.ParseNetworkAddress(text)
	if err != nil || address.PortRangeSize() > 1 {
		return nil, fmt.Errorf("%q is not the address of an admin endpoint: write one such as localhost:2019 or unix//run/caddy/admin.sock", text)
	}
	e := &endpoint{shown: text, address: address}
	if address.IsUnixNetwork() {
		e.socket, _, _ = strings.Cut(address.Host, "|")
		e.address.Host, e.shown = e.socket, e.socket
	}
	e.client = &http.Client{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, e.address.Network, e.address.JoinHostPort(0))
		}},
		// The admin endpoint redirects nobody, and a site that does is none.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

// AdminRequest is what a command asks the admin endpoint.
type AdminRequest struct {
	// Method and Path of the request. The path is below that of the registry's endpoint.
	Method, Path string
	Query        url.Values
	body         io.Reader
	// Accept is the media type of the answer.
	Accept string
}

// ask sends a request and returns the answer. The answer has the media type that was asked
// for, and status 200 or one of also. *admin.Refused is the endpoint's own refusal.
func (e *endpoint) ask(ctx context.Context, asked AdminRequest, also ...int) (*http.Response, error) {
	response, err := e.send(ctx, asked)
	if err != nil {
		return nil, e.explain(err)
	}
	if isAnswer(response, asked.Accept, also) {
		return response, nil
	}
	defer response.Body.Close()
	var refused admin.Refused
	text, err := io.ReadAll(io.LimitReader(response.Body, admin.MaxRequest))
	if err == nil && response.StatusCode >= 400 && json.Unmarshal(text, &refused) == nil && refused.Text != "" {
		return nil, &refused
	}
	return nil, e.explainAnswer(ctx, response)
}

func (e *endpoint) send(ctx context.Context, asked AdminRequest) (*http.Response, error) {
	origin := "http://127.0.0.1" // of a socket, which has no name
	if e.socket == "" && !e.address.IsFdNetwork() {
		origin = "http://" + e.address.JoinHostPort(0)
	}
	place := origin + asked.Path
	if len(asked.Query) > 0 {
		place += "?" + asked.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, asked.Method, place, asked.body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Accept", asked.Accept)
	if e.socket == "" {
		request.Header.Set("Origin", origin)
	}
	if asked.body != nil {
		request.Header.Set("Content-Type", admin.JSONType)
	}
	return e.client.Do(request)
}

func isAnswer(response *http.Response, accept string, also []int) bool {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	good := response.StatusCode == http.StatusOK
	for _, status := range also {
		good = good || response.StatusCode == status
	}
	return good && kind == accept
}

// explain says what to do when no answer came.
func (e *endpoint) explain(err error) error {
	var failed *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &failed) || failed.Op != "dial":
		return fmt.Errorf("what answers at %s is not an admin endpoint of Caddy, or it went away: %w", e.shown, err)
	case e.socket != "" && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open the socket %s%s: run the command as root or as the user that Caddy runs as, such as `sudo -u caddy caddy generic-registry …`: %w", e.socket, directory.OwnedBy(e.socket), failed.Err)
	case e.socket != "" && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no socket %s: Caddy is not running, or its option `admin` names another address, which --config or --address can tell", e.socket)
	}
	return fmt.Errorf("no admin endpoint answers at %s: is Caddy running? Where its configuration has the option `admin`, name that configuration or that address: "+
		"--config /etc/caddy/Caddyfile, --address localhost:2019 or --address unix//run/caddy/admin.sock: %w", e.shown, failed.Err)
}

// explainAnswer says what it is that answers in place of the registry's endpoint.
func (e *endpoint) explainAnswer(ctx context.Context, got *http.Response) error {
	config, err := e.send(ctx, AdminRequest{Method: http.MethodGet, Path: "/config/", Accept: admin.JSONType})
	if err == nil {
		defer config.Body.Close()
		if isAnswer(config, admin.JSONType, nil) {
			return fmt.Errorf("the Caddy at %s has no generic_registry: it was built without this module, or with another version of it", e.shown)
		}
	}
	return fmt.Errorf("%s is not an admin endpoint (it answered %s): name the address of Caddy's option `admin`, which is localhost:2019 by default, and not the address of a site", e.shown, got.Status)
}
