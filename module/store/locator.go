package store

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
)

// Locator says where a blob's bytes lie in a blob store: "<directory>/<random>", eight
// lower-case letters or digits, and 26 characters of base32. A locator is used once and
// never again, so bytes can be deleted without a lock against uploads of the same
// content. No part of it comes from a client.
type Locator string

const (
	locatorsPerDirectory = 10_000
	directoryWidth       = 8
	randomBytes          = 16
	randomWidth          = 26 // of so many bytes in base32

	// directories is how many of that width there are: 36^8.
	directories = 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36

	locatorAlphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

var locatorEncoding = base32.NewEncoding(locatorAlphabet).WithPadding(base32.NoPadding)

// NewLocator returns a fresh locator. Uploads of neighbouring sequence numbers
// share a directory, about 10,000 of them: publishes of the same moment then
// share one directory sync, and no directory grows without bound. The sequence
// only spreads; uniqueness comes from 128 random bits.
func NewLocator(sequence uint64) Locator {
	directory := strconv.FormatUint(sequence/locatorsPerDirectory%directories, 36)
	directory = strings.Repeat("0", directoryWidth-len(directory)) + directory
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return Locator(directory + "/" + locatorEncoding.EncodeToString(random[:]))
}

// LocatorSequence returns the sequence number after which NewLocator goes on with a
// directory that has so many blobs.
func LocatorSequence(directory string, blobs int) uint64 {
	number, _ := strconv.ParseUint(directory, 36, 64) // of another form: begin anew
	return number*locatorsPerDirectory + uint64(blobs)
}

// Split returns the directory and the name of a locator, or an error when it
// does not have exactly the form that NewLocator gives: a blob store must not follow
// any other, and must leave alone what has another.
func (l Locator) Split() (directory, name string, err error) {
	directory, name, found := strings.Cut(string(l), "/")
	if !found || !IsLocatorDirectory(directory) || !isMadeOf(name, randomWidth, locatorAlphabet) {
		return "", "", fmt.Errorf("malformed locator %q: %w", string(l), ErrDamaged)
	}
	return directory, name, nil
}

// IsLocatorDirectory tells whether a name has the form of a locator's directory.
func IsLocatorDirectory(name string) bool {
	return isMadeOf(name, directoryWidth, "0123456789abcdefghijklmnopqrstuvwxyz")
}

func isMadeOf(text string, length int, alphabet string) bool {
	return len(text) == length && strings.Trim(text, alphabet) == ""
}
