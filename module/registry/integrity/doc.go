// Package integrity compares the bytes of a registry with their digests, and deals with
// damage: the scrub in the background, Verify for those who ask, and readers that give out
// no wrong byte.
//
// The scrub reads all bytes in the background, at a rate, and compares them with their
// digests; Verify does the same at once, and the scrub waits for it. Whoever finds damage,
// a download too, reports it in one place (damage.go), which looks again, remembers the
// damage, moves the bytes to quarantine, looks once more, and logs.
package integrity
