// Package checkpoint tells all records of PostgreSQL as the lines of a checkpoint, and fills empty
// tables with such lines.
package checkpoint
