// Package registry is the domain of generic_registry: what a file, a version
// and an owner are, which names they may carry, and how a file is published,
// read and deleted over two stores, one for metadata and one for bytes.
//
// It knows neither Caddy nor a database. The Caddy side (package module) calls
// [Registry]; backends implement [MetadataStore] and [BlobStore].
package registry
