package packs

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

// address is where a blob is.
type address struct {
	pack  uint64
	slot  int
	nonce nonce
}

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// locator writes an address in the form that all locators have.
func (a address) locator() store.Locator {
	name := binary.BigEndian.AppendUint16(nil, uint16(a.slot))
	return store.Locator(packPrefix + fileName(a.pack) + "/" + encoding.EncodeToString(append(name, a.nonce[:]...)))
}

// fileName is that of a pack.
func fileName(pack uint64) string {
	digits := strconv.FormatUint(pack, 36)
	return strings.Repeat("0", max(0, numberWidth-len(digits))) + digits
}

// numberOf reads the name of a pack, and tells whether it is one that fileName gives.
func numberOf(name string) (pack uint64, is bool) {
	pack, err := strconv.ParseUint(name, 36, 64)
	return pack, err == nil && len(name) == numberWidth && fileName(pack) == name
}

// Owns tells whether a locator has the form of those that this package gives.
func Owns(locator store.Locator) bool { return strings.HasPrefix(string(locator), packPrefix) }

// find reads a locator. ErrDamaged when it is none that this package gives.
func find(locator store.Locator) (a address, err error) {
	directory, name, err := locator.Split()
	if err != nil {
		return a, err
	}
	number, is := numberOf(strings.TrimPrefix(directory, packPrefix))
	raw, err := encoding.DecodeString(name)
	if !is || err != nil || len(raw) != 2+nonceSize {
		return a, fmt.Errorf("malformed locator of a pack %q: %w", string(locator), store.ErrDamaged)
	}
	a = address{pack: number, slot: int(binary.BigEndian.Uint16(raw)), nonce: nonce(raw[2:])}
	if a.locator() != locator {
		return a, fmt.Errorf("malformed locator of a pack %q: %w", string(locator), store.ErrDamaged)
	}
	return a, nil
}

func newNonce() (n nonce) {
	_, _ = rand.Read(n[:]) // never fails (crypto/rand)
	return n
}

// Check returns an error when a locator that has the form of those that this package gives
// is none of them.
func Check(locator store.Locator) error {
	_, err := find(locator)
	return err
}
