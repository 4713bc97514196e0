package files

import (
	"fmt"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
)

// Checksums are the computed files beside those that were published. A file that was
// published under such a name comes first.
type Checksums struct {
	// Whether nothing is computed. Default: false.
	Off bool `json:"off,omitempty"`

	// The name of a version's list of checksums, as `sha256sum` writes it. Default:
	// `SHA256SUMS`.
	Sums string `json:"sums,omitempty"`

	// The hashes that `<file>.<hash>` has, of `sha256`, `sha512`, `sha1` and `md5`. All but
	// the first need the file to be read once: it is when a client first asks. Default: all.
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

// Check reports a name or a hash that cannot be.
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

// Selector is what may stand in place of a version in the path of a download.
type Selector string

const (
	// SelectLatest is the word `latest`.
	SelectLatest Selector = "latest"
	// SelectSemver is a range of semantic versions, such as `^1.2` or `1.x`.
	SelectSemver Selector = "semver"
	// SelectOff is nothing. It stands alone.
	SelectOff Selector = "off"
)

// CheckSelector reports a word that is no selector.
func CheckSelector(word string) error {
	switch Selector(word) {
	case SelectLatest, SelectSemver, SelectOff:
		return nil
	}
	return fmt.Errorf("%q is not what can stand for a version: write %s, %s or %s", word, SelectLatest, SelectSemver, SelectOff)
}

// Selectors are those that a site takes.
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

// Takes tells whether a version is a selector that is taken.
func (s Selectors) Takes(version string) bool {
	switch versions.KindOf(version) {
	case versions.Latest:
		return slices.Contains(s, SelectLatest)
	case versions.Range:
		return slices.Contains(s, SelectSemver)
	}
	return false
}
