// Package store has the words of generic_registry and the contract of its two stores: what
// an owner, a version, a file and a blob are, which names they may have, and what
// [MetadataStore] and [BlobStore] promise. A backend implements one of them; package
// storetest has the contract as suites, which every backend passes.
//
// It imports the standard library only.
package store
