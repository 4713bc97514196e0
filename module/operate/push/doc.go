// Package push is the client's side of a registry: the commands that publish files into a
// version, and that fetch a version whole.
//
// Both work against every server that speaks Gitea's API of generic packages. Where a
// server offers resumable uploads (draft-ietf-httpbis-resumable-upload), large files go up
// in requests of the size that it allows, and go on where they were cut.
//
// Nothing is sent before all names are known to be good, and nothing counts before its
// SHA-256 was compared.
package push
