package caddyfile

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The namespaces of the modules that keep metadata and bytes.
const (
	metadataNamespace = "generic_registry.metadata"
	blobsNamespace    = "generic_registry.blobs"
)

func (d *directive) metadata() (err error) {
	d.handler.MetadataRaw, err = d.store(metadataNamespace)
	return err
}

func (d *directive) blobs() (err error) {
	d.handler.BlobsRaw, err = d.store(blobsNamespace)
	return err
}

// store lets a store's module read its name and block, and returns its settings
// as JSON.
func (d *directive) store(namespace string) (json.RawMessage, error) {
	word := d.Val()
	if !d.NextArg() {
		return nil, d.Errf("%s has no store: the form is %s <name>; this build has %s", word, word, modulesOf(namespace))
	}
	name := d.Val()
	id := namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.Errf("unknown store %q for %s: this build has %s", name, word, modulesOf(namespace))
	}
	unmarshaler, err := caddyfile.UnmarshalModule(d.Dispenser, id)
	if err != nil {
		return nil, err
	}
	var warnings []caddyconfig.Warning
	settings := caddyconfig.JSONModuleObject(unmarshaler, "module", name, &warnings)
	if len(warnings) > 0 {
		return nil, d.Errf("encoding %s: %s", id, warnings[0].Message)
	}
	return settings, nil
}

// modulesOf names the modules of a namespace that this build of Caddy has.
func modulesOf(namespace string) string {
	var names []string
	for _, info := range caddy.GetModules(namespace) {
		names = append(names, info.ID.Name())
	}
	return strings.Join(names, ", ")
}
