package store

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
)

// Hashes are the MD5, the SHA-1 and the SHA-512 of a blob, one behind the other. Empty
// while they are not known.
type Hashes string

const hashesSize = md5.Size + sha1.Size + sha512.Size

// NewHashes puts hashes together.
func NewHashes(md5Sum, sha1Sum, sha512Sum []byte) Hashes {
	return Hashes(string(md5Sum) + string(sha1Sum) + string(sha512Sum))
}

// IsKnown tells whether there are any.
func (h Hashes) IsKnown() bool { return len(h) == hashesSize }

// MD5 in lower-case hexadecimal. Empty when it is not known.
func (h Hashes) MD5() string { return h.part(0, md5.Size) }

// SHA1 in lower-case hexadecimal. Empty when it is not known.
func (h Hashes) SHA1() string { return h.part(md5.Size, sha1.Size) }

// SHA512 in lower-case hexadecimal. Empty when it is not known.
func (h Hashes) SHA512() string { return h.part(md5.Size+sha1.Size, sha512.Size) }

func (h Hashes) part(from, size int) string {
	if !h.IsKnown() {
		return ""
	}
	return hex.EncodeToString([]byte(h[from : from+size]))
}
