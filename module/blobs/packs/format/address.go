package format

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// packPrefix begins the directory of each locator of this package. The directories that
	// store.NewLocator counts through come to it after 7e14 blobs.
	packPrefix  = "p"
	numberWidth = 7
)

// Address is where a blob is.
type Address struct {
	Pack  uint64
	Slot  int
	Nonce Nonce
}

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Locator writes an address in the form that all locators have.
func (a Address) Locator() store.Locator {
	name := binary.BigEndian.AppendUint16(nil, uint16(a.Slot))
	return store.Locator(packPrefix + FileName(a.Pack) + "/" + encoding.EncodeToString(append(name, a.Nonce[:]...)))
}

// FileName is that of a pack.
func FileName(pack uint64) string {
	digits := strconv.FormatUint(pack, 36)
	return strings.Repeat("0", max(0, numberWidth-len(digits))) + digits
}

// NumberOf reads the name of a pack, and tells whether it is one that FileName gives.
func NumberOf(name string) (pack uint64, is bool) {
	pack, err := strconv.ParseUint(name, 36, 64)
	return pack, err == nil && len(name) == numberWidth && FileName(pack) == name
}

// Owns tells whether a locator has the form of those that this package gives.
func Owns(locator store.Locator) bool { return strings.HasPrefix(string(locator), packPrefix) }

// Find reads a locator. ErrDamaged when it is none that this package gives.
func Find(locator store.Locator) (a Address, err error) {
	directory, name, err := locator.Split()
	if err != nil {
		return a, err
	}
	number, is := NumberOf(strings.TrimPrefix(directory, packPrefix))
	raw, err := encoding.DecodeString(name)
	if !is || err != nil || len(raw) != 2+nonceSize {
		return a, fmt.Errorf("malformed locator of a pack %q: %w", string(locator), store.ErrDamaged)
	}
	a = Address{Pack: number, Slot: int(binary.BigEndian.Uint16(raw)), Nonce: Nonce(raw[2:])}
	if a.Locator() != locator {
		return a, fmt.Errorf("malformed locator of a pack %q: %w", string(locator), store.ErrDamaged)
	}
	return a, nil
}

// NewNonce returns random bits that no other blob has.
func NewNonce() (n Nonce) {
	_, _ = rand.Read(n[:]) // never fails (crypto/rand)
	return n
}

// Check returns an error when a locator that has the form of those that this package gives
// is none of them.
func Check(locator store.Locator) error {
	_, err := Find(locator)
	return err
}
