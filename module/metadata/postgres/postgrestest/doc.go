// Package postgrestest starts PostgreSQL servers for tests: real ones, each with a data
// directory of its own.
package postgrestest
