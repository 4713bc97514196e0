package registry

import (
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/registry/nodes"
	"github.com/generic-registry/caddy-generic-registry/module/registry/removal"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Health is how a registry is.
type Health struct {
	// Metadata and Blobs are the conditions of the two stores.
	Metadata, Blobs store.Condition
	// Journaled tells whether the metadata store keeps a journal.
	Journaled bool
	Scrub     integrity.ScrubHealth
	Damage    integrity.DamageHealth
	Sweep     removal.SweepHealth
	// Uploads are what is in progress.
	Uploads UploadsHealth
	// Published is what was published since the registry was opened.
	Published Published
	// Nodes are those that share the stores.
	Nodes nodes.Health
	// Webhooks are how the hooks are that SetHooks set.
	Webhooks []webhook.Health
}

// Ready tells whether changes are taken: both stores take them and have more room
// than their reserves. Damage is no reason against it: all else can be served.
func (h Health) Ready() bool {
	return h.Live() && h.Metadata.TakesChanges() && h.Blobs.TakesChanges()
}

// Live tells whether files can be read.
func (h Health) Live() bool { return h.Metadata.Readable && h.Blobs.Readable }

// Health returns how the registry is, at once.
func (r *Registry) Health() Health {
	h := Health{Metadata: r.metadata.Condition(), Blobs: r.blobs.Condition()}
	_, h.Journaled = r.metadata.(store.Journaled)
	h.Scrub, h.Damage = r.Keeper.Condition()
	if fault := r.IsBehind(); fault != nil && h.Metadata.Fault == nil {
		h.Metadata.Fault = fault
	}
	h.Sweep = r.Swept()
	h.Uploads = UploadsHealth{Requests: r.slots.Taken(), Sessions: r.unfinished()}
	h.Published = r.published.read()
	h.Nodes = r.Met()
	h.Webhooks = r.Hooks()
	return h
}
