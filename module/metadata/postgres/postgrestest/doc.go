// Package postgrestest starts real PostgreSQL servers for tests, each with a data directory
// of its own.
package postgrestest
