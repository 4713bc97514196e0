// Package bucket speaks with one bucket of an S3 server, and knows nothing of what its
// objects are for.
//
// No request has a deadline, for a request takes as long as its bytes take: a watchdog ends
// one with which the server makes no progress. Nothing is tried again, but for a stream that
// broke: it goes on once, at its offset.
//
// Errors are those of package store. store.ErrBlobNotFound is an object that is missing.
// Nothing is missing because a server says 404: a proxy in front, or a bucket that is gone,
// says so too. A list of the bucket must agree, and another list must have the object that is
// always there (the mark).
//
// The bytes of an object get to the server by one PUT, or as the parts of a multipart upload
// (Content). The object becomes visible as a whole, and its last byte is sent by Commit, so
// nothing is visible before. Bytes of which the number is known pass through. The others wait
// in a bounded memory until they are a part (Gathering). A gathering can be left, and gone on
// with by whoever keeps the entity tags of its parts.
package bucket
