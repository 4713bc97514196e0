// Package transfer moves and hashes bytes: from a body into a blob store, and from a blob
// store into a digest, with buffers that all transfers of the process share.
package transfer
