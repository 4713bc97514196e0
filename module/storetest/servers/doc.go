// Package servers starts the servers that stores need, for tests: real ones, on free ports,
// with folders of their own. They are built or found when a test wants one. A test that
// cannot have its server fails.
//
// Everything here has the build tag servers.
package servers
