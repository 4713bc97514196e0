// Package postgres keeps the registry's metadata in a PostgreSQL database, which several
// processes may use.
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
// # One committer
//
// The changes that wait in a process share a transaction (commit.go). It is sent whole, and
// COMMIT after all answers came. So a connection that is lost before COMMIT was sent has
// changed nothing. After that nobody knows, until another connection has read the ticket of
// the process (settle.go): each transaction writes a new random one into the row of the
// process. To read it for update waits for the lost transaction, if it is still in progress.
//
// # What fails
//
// Every call has a deadline, and so has every connection that is made. The errors of the
// server are told apart in errors.go. While the server does not answer, calls fail at once
// with store.ErrUnavailable: watch.go asks it, several times a second, until it does.
// A server that does not keep what it acknowledges (fsync or synchronous_commit off) is
// refused with each connection.
package postgres
