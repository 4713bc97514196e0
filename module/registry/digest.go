package registry

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest is the SHA-256 of a file's bytes.
type Digest [sha256.Size]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }
