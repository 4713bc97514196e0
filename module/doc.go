// Package module is the Caddy side of generic_registry: the handler that answers
// requests, the authenticator of tokens, the app that opens and closes stores.
// What an administrator meets, the admin endpoint, the command, health and metrics, is
// below operate.
//
// Registries are opened in the app's Start and nowhere else, so that caddy validate beside
// a running server touches nothing. Package pool has them, for as long as a configuration
// or a request uses them.
//
// The rules of who may do what are compiled once, when the configuration is loaded.
// Package visit finds the user of a request, and Visit.May decides before any store is
// asked. The authenticator finds the registry of a token by its root and leaves the token
// in a request variable; package visit judges its scope. A quota is looked at before the
// body, and decided in the transaction that publishes.
package module
