// Package registry is the engine of generic_registry. It publishes, reads and deletes files
// over two stores, one for metadata and one for bytes, and deletes the bytes of deleted
// files.
//
// It knows neither Caddy nor a database. The Caddy side (package module) calls
// [Registry]; backends implement the interfaces of package store. Package integrity
// compares bytes with their digests, package backup copies a registry and restores it.
//
// # A publish
//
// The body streams into the blob store while it is hashed. Commit makes the bytes durable
// and gives their locator. Then the metadata store decides in one transaction: the file is
// new, or the name is taken and the bytes are condemned. A crash between the two leaves
// bytes that nothing names, which the sweep removes; never a name without bytes.
//
// A locator says where bytes lie. It is random, and used once: condemned bytes can be
// deleted without a lock against uploads of the same content. Equal contents are stored
// once. A publish keeps its own bytes, which were hashed just now, and condemns the older
// copy of their digest. So no 201 rests on bytes that nobody looked at, a publish heals
// damage, and it does not race with the scrub.
//
// # An upload in several requests
//
// A session in the blob store says how many bytes are durable, and has the state of their
// hash. A request appends after them; every so often, and at its end, what came is made
// durable, and the session after it. So a killed server goes on where the session stands,
// and the end of an upload reads nothing a second time. The last request publishes the
// bytes under the session's locator, and then ends the session. After a crash between the
// two, the file of that name has the session's locator: then it is published. Only while
// nothing names the locator are its bytes deleted with the session.
//
// # Bytes that nothing names
//
// A deletion condemns the bytes of its files; the reaper has the blob store delete them
// when the deletion is durable. The sweep finds what a crash left. Age is its fence: it
// deletes bytes that are older than [store.SweepAfter] and that two sweeps have found, and the
// metadata store refuses a publish later than [store.PublishWithin] after its bytes were stored.
// So no store needs to know which uploads are in progress.
package registry
