// Package pool has the open registries of the process, and opens and closes them.
//
// Registries belong to the process, not to a configuration: Caddy starts a new
// configuration before it stops the old one, and requests outlive both. So a Pool counts
// the users of a registry, which are configurations and requests, and the last one closes
// it. A configuration takes a Lease, whose Start has the registry opened; everybody else
// comes in through Use.
//
// One goroutine opens a registry, however long that takes, and tries again as long as it
// must. A fault of the configuration fails the start; every other fault is a state, in
// which uses fail at once and health says why.
package pool
