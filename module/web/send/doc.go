// Package send answers with bytes: those of files of the registry, and those of anything
// else that can be read from any offset.
//
// Conditions and ranges are http.ServeContent's (RFC 9110 sections 13 and 14). The bytes are
// opened, and verified where that is wanted, when ServeContent has decided the status and
// the status needs them: an answer without bytes opens no file, and bytes that cannot be
// opened are an error before anything was written. Bytes that cannot be read later end the
// connection, whatever they are read from. The kernel sends files by itself where it can.
package send
