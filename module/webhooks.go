package module

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
)

// The changes that a webhook can send.
const (
	WebhookCreated = "created"
	WebhookDeleted = "deleted"
)

// Webhook is a URL, the receiver, that gets a request for each change of an owner's packages.
// The requests are those of Gitea's event `package`. Each change is sent at least once, in
// order.
type Webhook struct {
	// The owner whose changes are sent, or `*` for every owner without a webhook of its own.
	// Names that differ only in case are the same name. Default: `*`.
	Owner string `json:"owner,omitempty"`

	// The URL of the receiver, with http or https. Required. Placeholders are replaced when
	// the config is loaded. Administrators see the URL as it is written here, so write a
	// secret URL as a placeholder.
	URL string `json:"url"`

	// The secret that signs the requests, in `X-Gitea-Signature` and `X-Hub-Signature-256`.
	// Placeholders, such as `{env.HOOK_SECRET}`, are replaced when the config is loaded.
	// Default: requests are not signed.
	Secret string `json:"secret,omitempty"`

	// Which changes are sent: `created`, `deleted`. Default: both. An empty list is an error.
	Events []string `json:"events,omitempty"`

	// The URL of the site, such as `https://packages.example.com`, for links in the requests.
	// Placeholders are replaced when the config is loaded. Default: no links.
	Site string `json:"site,omitempty"`

	// Whether the receiver may have an address that is not public, such as an address of this
	// machine. Default: false.
	AllowPrivate bool `json:"allow_private,omitempty"`

	// How long the registry keeps a change that the receiver does not take. Zero, the
	// default, is seven days.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How many changes of the registry may follow a change that the receiver does not take,
	// before that change is given up. Zero, the default, is 1000000.
	MaxBehind int `json:"max_behind,omitempty"`
}

// ErrNoChanges is the error of a webhook whose metadata store does not keep the changes.
var ErrNoChanges = errors.New("a webhook needs a metadata store that keeps changes for it, such as badger or postgres")

// ChangesBackend is implemented by a store.MetadataBackend whose stores are store.Changes.
type ChangesBackend interface {
	// TellsChanges does nothing.
	TellsChanges()
}

// CheckWebhookURL reports why a URL cannot be the receiver of a webhook.
func CheckWebhookURL(text string) error {
	to, err := url.Parse(text)
	switch {
	case err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return errors.New("this is not a URL that begins with http:// or https:// and names a host")
	case to.User != nil:
		return errors.New("the URL has a user in it: write secret in place of a password")
	case to.Fragment != "":
		return errors.New("the URL has a fragment (#), which no request can have")
	}
	return nil
}

// CheckWebhookSite reports why a URL cannot be the URL of the site.
func CheckWebhookSite(text string) error {
	if err := CheckWebhookURL(text); err != nil {
		return err
	}
	if strings.Contains(text, "?") {
		return errors.New("the URL has a query")
	}
	return nil
}

var errNoEvents = errors.New("events: the list is empty: leave it out for both, created and deleted")

// CheckWebhookEvent reports an event that no webhook has.
func CheckWebhookEvent(event string) error {
	if event != WebhookCreated && event != WebhookDeleted {
		return fmt.Errorf("%q is no event: write %s or %s", event, WebhookCreated, WebhookDeleted)
	}
	return nil
}

// hook checks the settings and makes a hook with them. Its links are below the prefix.
func (w Webhook) hook(prefix string) (hook webhook.Hook, err error) {
	hook = webhook.Hook{
		Owner: cmp.Or(w.Owner, webhook.AnyOwner), AllowPrivate: w.AllowPrivate,
		MaxAge: cmp.Or(time.Duration(w.MaxAge), webhook.DefaultMaxAge), MaxBehind: cmp.Or(uint64(w.MaxBehind), webhook.DefaultMaxBehind),
	}
	if err := access.CheckRuleOwner(hook.Owner); err != nil {
		return hook, err
	}
	// An error of the URL does not show it: it may be secret.
	replaced := caddy.NewReplacer()
	if hook.URL, err = replaced.ReplaceOrErr(w.URL, true, true); err != nil {
		return hook, fmt.Errorf("url: %w", err)
	}
	if err := CheckWebhookURL(hook.URL); err != nil {
		return hook, fmt.Errorf("url: %w", err)
	}
	hook.Shown, _, _ = strings.Cut(w.URL, "?")
	if hook.Secret, err = replaced.ReplaceOrErr(w.Secret, true, true); err != nil {
		return hook, fmt.Errorf("secret: %w; leave it out for requests that are not signed", err)
	}
	if w.Site != "" {
		if hook.Site, err = replaced.ReplaceOrErr(w.Site, true, true); err == nil {
			err = CheckWebhookSite(hook.Site)
		}
		if err != nil {
			return hook, fmt.Errorf("site: %w", err)
		}
		hook.Site = strings.TrimRight(strings.TrimRight(hook.Site, "/")+prefix, "/")
	}
	if w.Events != nil && len(w.Events) == 0 {
		return hook, errNoEvents
	}
	for _, event := range w.Events {
		if err := CheckWebhookEvent(event); err != nil {
			return hook, err
		}
	}
	if len(w.Events) > 0 {
		hook.NotCreated, hook.NotDeleted = !slices.Contains(w.Events, WebhookCreated), !slices.Contains(w.Events, WebhookDeleted)
	}
	if w.MaxAge < 0 || w.MaxBehind < 0 {
		return hook, errors.New("max_age and max_behind must be above zero, or be left out")
	}
	return hook, nil
}

// provisionWebhooks makes hooks out of the settings.
func (h *Handler) provisionWebhooks(metadata any) ([]webhook.Hook, error) {
	if _, tells := metadata.(ChangesBackend); !tells && len(h.Webhooks) > 0 {
		return nil, ErrNoChanges
	}
	var hooks []webhook.Hook
	for i, settings := range h.Webhooks {
		hook, err := settings.hook(h.Prefix)
		if err != nil {
			return nil, fmt.Errorf("webhook %d: %w", i+1, err)
		}
		if slices.ContainsFunc(hooks, func(other webhook.Hook) bool { return other.ID() == hook.ID() }) {
			return nil, fmt.Errorf("webhook %d: owner %s has another one with this URL", i+1, hook.Owner)
		}
		hooks = append(hooks, hook)
	}
	return hooks, nil
}

// errHooks is the error of two handlers that give one webhook different settings.
var errHooks = errors.New("two handlers with the same root have different settings for a webhook of the same owner and URL: write the same settings")

// withHooks adds the hooks of a handler to those of others with its root.
func withHooks(hooks, more []webhook.Hook) ([]webhook.Hook, error) {
	for _, hook := range more {
		i := slices.IndexFunc(hooks, func(other webhook.Hook) bool { return other.ID() == hook.ID() })
		switch {
		case i < 0:
			hooks = append(hooks, hook)
		case hooks[i] != hook:
			return nil, errHooks
		}
	}
	return hooks, nil
}
