package store

import (
	"strings"
	"unicode"
)

// VersionRef names one version of a package.
//
// Identity ignores case: two refs name the same version when their [VersionRef.Key]s
// are equal. The ref itself keeps the spelling that the client used, which a store
// shows back as it was first published.
type VersionRef struct {
	Owner   string
	Package string
	Version string
}

// Ref names one file in a version of a package.
type Ref struct {
	VersionRef
	File string
}

// Fold is the function that decides identity of owners, packages, versions,
// files and users: Unicode lower case, without normalisation.
func Fold(name string) string { return strings.ToLower(name) }

// FoldsIntoASCII tells whether a name has a character beyond ASCII of which Fold makes
// one of ASCII, such as the Kelvin sign. A user of such a name would be another user.
func FoldsIntoASCII(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII && unicode.ToLower(r) <= unicode.MaxASCII })
}

// Key returns the ref by which stores and rules compare: every name folded.
func (r VersionRef) Key() VersionRef {
	return VersionRef{Owner: Fold(r.Owner), Package: Fold(r.Package), Version: Fold(r.Version)}
}

// Key returns the ref by which stores compare: every name folded.
func (r Ref) Key() Ref {
	return Ref{VersionRef: r.VersionRef.Key(), File: Fold(r.File)}
}
