// Package database is one PostgreSQL database as a process uses it: its connections, what the
// errors of the server mean, how the server is, and one transaction for all changes that wait.
// What is asked of the database is the business of others: the tables and functions are in
// migrations. Of those this package knows the row of the process (node), the locks that a
// transaction takes first (locked_1), and the number of changes of each owner.
//
// # One committer
//
// The changes that wait in a process share a transaction (commit.go). It is sent whole: first
// the locks of all changes, in the order of the server's function locked_1, then the changes.
// COMMIT is sent after all answers came. So a connection that is lost before COMMIT was sent
// has changed nothing. After that the outcome is in doubt, until another connection has read
// the ticket of the process (outcome.go): each transaction writes a new random one into the
// row of the process. Reading the ticket for update waits for the lost transaction, if that is
// still in progress.
//
// # Reads
//
// Reads have a pool of connections. A read whose connection turns out to be lost is made once
// more (use.go).
//
// # What fails
//
// Every call has a deadline, and so has every connection that is made. The errors of the
// server are told apart in errors.go. While the server does not answer, calls fail at once
// with store.ErrUnavailable: watch.go asks it, several times a second, until it does.
// A server that does not keep what it acknowledges (fsync or synchronous_commit off) is
// refused with each connection. So is, when it is opened, a pooler that does not keep a process
// of the server for a connection (session.go).
package database
