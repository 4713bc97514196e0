// Package s3 keeps bytes as objects of an S3 bucket.
//
// Under the prefix of a registry there are
//
//	FORMAT                   what this is, and its version
//	METADATA                 the ID of the metadata store that names the blobs, and their own
//	POSITION                 how far the metadata's journal was seen
//	blobs-<locator>          a blob
//	uploads-<id>/session-<n> an upload in several requests, as saved in a turn
//	uploads-<id>/<random>    its last bytes, while they are too few for a part
//	quarantine-<locator>     a damaged blob
//
// A server that keeps objects as files deletes folders that have become empty, while others
// put something there. Versity's gateway makes a folder that is gone once more, but fails when
// the folder around it is gone too. So folders are not in others: the prefix itself always has
// FORMAT.
//
// A blob is written once, under a key with 128 random bits. No key is ever written with other
// bytes, so no answer that was lost and no request that arrives late does harm: the publish
// that did not hear of its PUT leaves an object that nothing names, and the sweep deletes it.
//
// An upload in several requests is a multipart upload of its blob. Its parts so far, with
// their entity tags, are in its session, which is written after them. What comes after the
// session was written last does not count: a part of the same number takes its place. The
// last bytes, which are too few for a part (S3 takes none below 5 MiB but the last one), are
// an object with a name of its own each time. Where several processes share the bucket, who goes
// on with an upload that another one had does so in a turn of its own (TakeSession): what that
// one still saves is another object, and the parts that it still sends have other numbers.
//
// Package bucket tells how the server is spoken with, and what is believed of it.
package s3
