// Package servers starts the servers that stores need, for tests: real servers, on free
// ports, each with a directory of its own. A server is built or found when a test needs it.
// A test that cannot get its server fails.
//
// Everything here has the build tag servers.
package servers
