package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Digest is the SHA-256 of a file's bytes.
type Digest [sha256.Size]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// ParseDigest reads a digest as String writes it.
func ParseDigest(text string) (digest Digest, err error) {
	if len(text) != 2*len(digest) {
		return digest, fmt.Errorf("a digest of %d characters, not %d", len(text), 2*len(digest))
	}
	if _, err := hex.Decode(digest[:], []byte(text)); err != nil {
		return Digest{}, fmt.Errorf("digest: %w", err)
	}
	if digest.String() != text {
		return Digest{}, errors.New("a digest in upper case")
	}
	return digest, nil
}
