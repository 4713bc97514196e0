package store

// DamageKind says what is wrong with the bytes of a blob. Empty when nothing is known to be.
type DamageKind string

// What can be wrong with a blob.
const (
	// DamageMissing: there are no bytes.
	DamageMissing DamageKind = "missing"
	// DamageSize: there are more or fewer bytes than were published.
	DamageSize DamageKind = "wrong size"
	// DamageDigest: the bytes have another SHA-256.
	DamageDigest DamageKind = "wrong digest"
	// DamageUnreadable: the store cannot read the bytes. It may later.
	DamageUnreadable DamageKind = "unreadable"
)
