// Package module is the Caddy side of generic_registry: the app that opens and
// closes stores, and the handler that answers requests. One concern a file.
package module
