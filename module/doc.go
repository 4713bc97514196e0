// Package module is the Caddy side of generic_registry: the handler that answers
// requests, the authenticator of tokens, the app that opens and closes stores, the
// admin endpoint with health and metrics, and the command caddy generic-registry.
//
// Stores belong to the process, not to a configuration: Caddy starts a new configuration
// before it stops the old one, and requests outlive both. So the pool counts the users
// of a store, which are configurations and requests, and the last one closes it. Stores
// are opened in the app's Start and nowhere else, so that caddy validate beside a running
// server touches nothing.
//
// The rules of who may do what are compiled once, when the configuration is loaded.
// Handler.identify finds the user and Handler.authorize decides, before any store is
// asked. The authenticator finds the registry of a token by its root and leaves the token
// in a request variable; the handler judges its scope. A quota is looked at before the
// body, and decided in the transaction that publishes.
package module
