package registry

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
)

// Locator says where a blob's bytes lie in a blob store: "<directory>/<random>",
// lower-case letters and digits. A locator is used once and never again, so bytes
// can be deleted without a lock against uploads of the same content. No part of
// it comes from a client.
type Locator string

const (
	locatorsPerDirectory = 10_000
	directoryWidth       = 8
	randomBytes          = 16
)

var locatorEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewLocator returns a fresh locator. Uploads of neighbouring sequence numbers
// share a directory, about 10,000 of them: publishes of the same moment then
// share one directory sync, and no directory grows without bound. The sequence
// only spreads; uniqueness comes from 128 random bits.
func NewLocator(sequence uint64) Locator {
	directory := strconv.FormatUint(sequence/locatorsPerDirectory, 36)
	if missing := directoryWidth - len(directory); missing > 0 {
		directory = strings.Repeat("0", missing) + directory
	}
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return Locator(directory + "/" + locatorEncoding.EncodeToString(random[:]))
}

// Split returns the directory and the name of a locator, or an error when it
// does not have the form that NewLocator gives: a blob store must not follow any
// other.
func (l Locator) Split() (directory, name string, err error) {
	directory, name, found := strings.Cut(string(l), "/")
	if !found || !isLocatorPart(directory) || !isLocatorPart(name) {
		return "", "", fmt.Errorf("malformed locator %q: %w", string(l), ErrDamaged)
	}
	return directory, name, nil
}

func isLocatorPart(part string) bool {
	if part == "" || len(part) > 64 {
		return false
	}
	return !strings.ContainsFunc(part, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}
