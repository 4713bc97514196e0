package files

import (
	"fmt"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
)

// Checksums are files that the registry computes. A published file with such a name is
// served in place of the computed one.
type Checksums struct {
	// Whether no checksums are computed. Default: false.
	Off bool `json:"off,omitempty"`

	// The name of the list of checksums of a version. The list has the form of `sha256sum`.
	// Default: `SHA256SUMS`.
	Sums string `json:"sums,omitempty"`

	// The hashes for `<file>.<hash>`: of `sha256`, `sha512`, `sha1` and `md5`. `sha256` is
	// always known. For the others the registry reads the file once, when a client first
	// asks. Default: all.
	Hashes []computed.Hash `json:"hashes,omitempty"`
}

// Provision fills in defaults.
func (c *Checksums) Provision() error {
	if c.Off {
		*c = Checksums{Off: true}
		return nil
	}
	if c.Sums == "" {
		c.Sums = computed.SumsName
	}
	if c.Hashes == nil {
		c.Hashes = computed.Hashes
	}
	return c.Check()
}

// Check reports a name or a hash that is not allowed.
func (c *Checksums) Check() error {
	if c.Sums != "" && naming.CheckFile(c.Sums, naming.Documented) != nil {
		return fmt.Errorf("sums is %q: write a file name of letters, digits and .-+_", c.Sums)
	}
	for _, hash := range c.Hashes {
		if err := computed.CheckHash(string(hash)); err != nil {
			return fmt.Errorf("hashes: %w", err)
		}
	}
	return nil
}

func (c *Checksums) has(hash computed.Hash) bool { return slices.Contains(c.Hashes, hash) }

// Selector is a word that may stand in place of a version in the path of a download.
type Selector string

const (
	// SelectLatest is the word `latest`.
	SelectLatest Selector = "latest"
	// SelectSemver is a range of semantic versions, such as `^1.2` or `1.x`.
	SelectSemver Selector = "semver"
	// SelectOff allows no selector. It stands alone.
	SelectOff Selector = "off"
)

// CheckSelector reports a word that is no selector.
func CheckSelector(word string) error {
	switch Selector(word) {
	case SelectLatest, SelectSemver, SelectOff:
		return nil
	}
	return fmt.Errorf("%q cannot stand in place of a version: write %s, %s or %s", word, SelectLatest, SelectSemver, SelectOff)
}

// Selectors are the selectors that a site allows.
type Selectors []Selector

// Provision fills in the default.
func (s *Selectors) Provision() error {
	if len(*s) == 0 {
		*s = Selectors{SelectLatest, SelectSemver}
	}
	for _, word := range *s {
		if err := CheckSelector(string(word)); err != nil {
			return fmt.Errorf("select: %w", err)
		}
		if word == SelectOff && len(*s) > 1 {
			return fmt.Errorf("select has %s beside other words: write %s alone", SelectOff, SelectOff)
		}
	}
	return nil
}

// Takes tells whether a version is a selector that the site allows.
func (s Selectors) Takes(version string) bool {
	switch versions.KindOf(version) {
	case versions.Latest:
		return slices.Contains(s, SelectLatest)
	case versions.Range:
		return slices.Contains(s, SelectSemver)
	}
	return false
}
