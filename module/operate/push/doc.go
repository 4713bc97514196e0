// Package push is the command that publishes files into a version.
//
// Nothing is sent before the names of all files are known to be good. Where a server offers
// resumable uploads (draft-ietf-httpbis-resumable-upload), large files go up in requests of
// the size that the server allows, and go on where they were cut. A file counts as published
// once the server has its SHA-256, or at least its size where the server tells no digest.
package push
