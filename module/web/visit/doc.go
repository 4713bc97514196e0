// Package visit does what every API over a registry does with a request: who asks, whether
// they may, and how a refusal is answered.
//
// A Site is what the settings of one handler say of all its requests. Its Serve makes a
// Visit of a request and gives that to a Wing, which is one API: it parses its own paths,
// asks the visit whether the user may do what the request wants, uses the registry
// through the visit, and answers, or returns an error before it has written anything.
// Domain errors go up unchanged; a refusal of a wing's own is a Refusal, which says its
// status. Serve turns both into an answer that arrives while the client still sends, and
// writes the audit log.
package visit
