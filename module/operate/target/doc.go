// Package target finds the registry that a command is for: through the admin endpoint of a
// running Caddy, or, for a stopped one, where the configuration or --root says.
package target
