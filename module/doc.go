// Package module is the Caddy side of generic_registry: the handler that answers
// requests, the authenticator of tokens, the app that opens and closes stores.
// The admin endpoint, the command, health and metrics are in packages below operate.
//
// The app opens registries in Start and nowhere else, so that caddy validate beside a
// running server touches nothing. Package pool keeps a registry open while a configuration
// or a request uses it.
//
// The rules of who may do what are compiled once, when the configuration is loaded.
// Package visit finds the user of a request, and Visit.May decides before any store is
// asked. The authenticator finds the registry of a token by its root and leaves the token
// in a variable of the request; package visit checks its scope. A quota is checked before
// the body is read, and again in the transaction that publishes.
package module
