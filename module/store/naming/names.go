package naming

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// MaxLength is the longest name, in bytes, that an owner, package, version
// or file may have.
const MaxLength = 255

// FileNames selects which file names may be published.
type FileNames string

const (
	// Documented is the set of Gitea's documentation: ASCII letters,
	// digits and ".-+_".
	Documented FileNames = "documented"

	// Gitea adds what Gitea accepts since 1.22: the characters
	// "=:;()[]{}~!@#$%^&" and spaces that are not at either end.
	Gitea FileNames = "gitea"
)

const (
	documentedPunctuation = "-_+."
	giteaPunctuation      = documentedPunctuation + "=:;()[]{}~!@#$%^& "
)

// Marks returns the characters that names of files may have beside ASCII letters and digits.
func (n FileNames) Marks() string {
	if n == Gitea {
		return giteaPunctuation
	}
	return documentedPunctuation
}

// CheckElement reports ErrUnsafePath for a path segment, unescaped once, that no
// request may carry in any position: one that is not UTF-8, that has a "." or ".."
// element, a control character or a backslash. Caddy's path matchers clean such
// paths, so a guard in front of the registry would see another path than the
// registry does.
func CheckElement(segment string) error {
	if !utf8.ValidString(segment) {
		return fmt.Errorf("%w: not UTF-8", store.ErrUnsafePath)
	}
	if strings.ContainsFunc(segment, unsafeRune) {
		return fmt.Errorf("%w: control character or backslash", store.ErrUnsafePath)
	}
	for element := range strings.SplitSeq(segment, "/") {
		if element == "." || element == ".." {
			return fmt.Errorf("%w: dot element", store.ErrUnsafePath)
		}
	}
	return nil
}

func unsafeRune(r rune) bool { return r == '\\' || unicode.IsControl(r) }

// CheckOwner reports ErrInvalidOwner unless owner can be an owner's name: 1 to
// 255 bytes of UTF-8 without white space at either end, "/", "\" or control
// characters, and neither "." nor "..".
func CheckOwner(owner string) error {
	if owner == "" || len(owner) > MaxLength || hasOuterSpace(owner) ||
		strings.Contains(owner, "/") || CheckElement(owner) != nil {
		return store.ErrInvalidOwner
	}
	return nil
}

// Check reports whether a file may be published as ref. It returns
// ErrInvalidPackage, ErrInvalidVersion or ErrInvalidFile, in that order. The
// owner is CheckOwner's to judge.
func Check(ref store.Ref, names FileNames) error {
	switch {
	case !ValidPackage(ref.Package):
		return store.ErrInvalidPackage
	case !validVersion(ref.Version):
		return store.ErrInvalidVersion
	}
	return CheckFile(ref.File, names)
}

// CheckFile reports ErrInvalidFile unless a file may be published under the name.
func CheckFile(file string, names FileNames) error {
	if file == "" || len(file) > MaxLength || file == "." || file == ".." ||
		hasOuterSpace(file) || !onlyOf(file, names.Marks()) {
		return store.ErrInvalidFile
	}
	return nil
}

// ValidPackage tells whether a name can be published as a package.
func ValidPackage(name string) bool {
	if name == "" || len(name) > MaxLength || name == ".." {
		return false
	}
	if len(name) == 1 {
		return isAlphanumeric(rune(name[0]))
	}
	return onlyOf(name, documentedPunctuation)
}

func validVersion(version string) bool {
	return version != "" && len(version) <= MaxLength && !hasOuterSpace(version) &&
		CheckElement(version) == nil
}

func onlyOf(name, punctuation string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune(punctuation, r)
	})
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func hasOuterSpace(name string) bool { return strings.TrimSpace(name) != name }
