// Package postgres keeps the metadata of a registry in a PostgreSQL database, which several
// processes may use. It reads and changes owners, packages, versions, files, blobs and
// tokens. Its package database has the connections and the transactions.
//
// # What decides
//
// PostgreSQL decides everything, in functions of migrations/0001_first.sql. Its isolation is
// READ COMMITTED, and every change of an owner's names locks that owner's row first. So of
// racing publishes one wins, quotas and sums are exact, and what one process has acknowledged
// the next read of every other process finds. The order of locks is: the row of the process,
// owners by name, blobs by digest.
//
// Nothing is known in memory but the clock of the server: reads ask the server.
//
// A name that PostgreSQL cannot store, such as one with NUL, is never sent: nothing can have
// it. The errors of the server are those of the contract when they come here; what a function
// of the server decided comes as a word, such as done, exists or no_file.
package postgres
