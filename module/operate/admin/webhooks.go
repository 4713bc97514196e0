package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
)

// WebhooksPath is where the deliveries of webhooks are listed.
const WebhooksPath = "/webhooks"

// Webhook is how a webhook is, without its secret.
type Webhook struct {
	Root  string `json:"root"`
	ID    string `json:"id"`
	Owner string `json:"owner"`
	URL   string `json:"url"`
	// Elsewhere tells that another node delivers, and knows all that follows.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Behind is how many changes of the registry it has not come to.
	Behind uint64 `json:"behind"`
	// Waiting is when the change was made that is being delivered.
	Waiting time.Time `json:"waiting,omitzero"`
	// Failing is since when the receiver takes nothing.
	Failing time.Time `json:"failing,omitzero"`
	Error   string    `json:"error,omitempty"`
	// Delivered and Failed are requests since the registry was opened.
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`
	// Lost is how many changes were given up.
	Lost   uint64    `json:"lost"`
	LostAt time.Time `json:"lost_at,omitzero"`
	// Deliveries are the last ones, the newest first.
	Deliveries []webhook.Delivery `json:"deliveries"`
}

// serveWebhooks lists the webhooks of all registries, or of those with a root.
func serveWebhooks(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	root := r.URL.Query().Get("root")
	registries := pool.Registries.Health(root)
	if root != "" && len(registries) == 0 {
		return refuse(http.StatusNotFound, fmt.Errorf("%w: none has the root %s", pool.ErrNoRegistry, root))
	}
	all := []Webhook{}
	for _, registry := range registries {
		for _, hook := range registry.Webhooks {
			shown := Webhook{
				Root: registry.Root, ID: hook.ID, Owner: hook.Owner, URL: hook.URL, Elsewhere: hook.Elsewhere, Behind: hook.Behind, Waiting: hook.Waiting,
				Failing: hook.Failing, Error: hook.Fault, Delivered: hook.Delivered, Failed: hook.Failed,
				Lost: hook.Lost, LostAt: hook.LostAt, Deliveries: []webhook.Delivery{},
			}
			for i := range hook.Recent {
				shown.Deliveries = append(shown.Deliveries, hook.Recent[len(hook.Recent)-1-i])
			}
			all = append(all, shown)
		}
	}
	return answerJSON(w, all)
}
