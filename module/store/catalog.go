package store

import (
	"context"
	"time"
)

// Catalog tells what there is: owners, packages, versions and files. It is a part of
// MetadataStore. All methods may run concurrently with everything else; each page is of
// one moment, and two pages may be of different ones.
//
// Names that are asked for are found in any case, names that are told are as first
// spelled. What is not there is an empty page and not an error, unless the method says
// otherwise. An after or a cursor that the store did not give out is taken for the
// beginning. A limit below 1 is DefaultPage, one above MaxPage is MaxPage. Their errors
// are ErrUnavailable, ErrDamaged and those of the context.
type Catalog interface {
	// Owners returns the owners of a page, in the order of their folded names.
	Owners(ctx context.Context, query OwnerQuery) (OwnerPage, error)

	// Packages returns the packages of a page, in the order of their folded names.
	Packages(ctx context.Context, query PackageQuery) (PackagePage, error)

	// Versions returns the versions of a page, of one owner or one package.
	Versions(ctx context.Context, query VersionQuery) (VersionPage, error)

	// Foremost returns the first versions of a package in both orders. It takes no longer
	// for many versions than for one. ErrPackageNotFound when nothing is published.
	Foremost(ctx context.Context, owner, pkg string) (Foremost, error)

	// FindVersion finds a version. ErrPackageNotFound.
	FindVersion(ctx context.Context, ref VersionRef) (VersionInfo, error)

	// Files returns the files of a page, in the order of their folded names.
	// ErrPackageNotFound when the version does not exist.
	Files(ctx context.Context, query FileQuery) (FilePage, error)
}

const (
	// DefaultPage is how many entries a page has when nobody says.
	DefaultPage = 30
	// MaxPage is how many entries a page has at most.
	MaxPage = 1000
)

// PageSize is how many entries a page has for which a limit was asked.
func PageSize(limit int) int {
	if limit < 1 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// Selection is the packages that somebody may see, such as by rules and by the scope of
// a token. The zero Selection is all. Its functions get folded names and must be quick:
// they are called within a read, once for each package that a query passes.
type Selection struct {
	// Whole tells that all packages of an owner are selected, those of tomorrow too. Then
	// totals are read and not counted. Nil is no owner, unless Select is nil.
	Whole func(owner string) bool
	// Select tells whether a package is selected. It is asked where Whole is false. Nil
	// selects all.
	Select func(owner, pkg string) bool
}

// IsWhole tells whether all packages of a folded owner are selected.
func (s Selection) IsWhole(owner string) bool {
	return s.Select == nil || s.Whole != nil && s.Whole(owner)
}

// Takes tells whether a package is selected, by folded names.
func (s Selection) Takes(owner, pkg string) bool {
	return s.IsWhole(owner) || s.Select(owner, pkg)
}

// OwnerQuery asks for owners.
type OwnerQuery struct {
	Selection
	// After is the Next of the page before. Empty for the first page.
	After string
	// Limit of the page.
	Limit int
}

// OwnerInfo is an owner that has something selected.
type OwnerInfo struct {
	// Name as first spelled.
	Name string
	Sums
	// Packages that are selected.
	Packages int64
}

// Sums count what is selected.
type Sums struct {
	Versions, Files int64
	// Bytes of the files; equal contents count as often as they were published.
	Bytes int64
}

// Add adds others.
func (s *Sums) Add(others Sums) {
	s.Versions += others.Versions
	s.Files += others.Files
	s.Bytes += others.Bytes
}

// OwnerPage is a page of owners.
type OwnerPage struct {
	Owners []OwnerInfo
	// Next is the After of the next page. Empty when this is the last.
	Next string
}

// PackageQuery asks for packages of an owner.
type PackageQuery struct {
	Selection
	Owner string
	// Search is what a name must contain (Matches). Empty for any.
	Search string
	// After is the Next of the page before. Empty for the first page.
	After string
	// Limit of the page.
	Limit int
}

// PackageInfo is a package.
type PackageInfo struct {
	// Owner and Name as first spelled.
	Owner, Name string
	Sums
}

// PackagePage is a page of packages.
type PackagePage struct {
	Packages []PackageInfo
	// Next is the After of the next page. Empty when this is the last.
	Next string
}

// Order is that of versions.
type Order int

const (
	// NewestFirst is by time. Of two of the same time the one with the higher ID is the
	// newer.
	NewestFirst Order = iota
	// HighestFirst is by rank, of the same rank NewestFirst. Versions without a rank are not
	// in it. It is of one package: a query without one gets NewestFirst.
	HighestFirst
)

// RankSpan is the ranks between two texts, in the order of their bytes.
type RankSpan struct {
	// From is the first rank that belongs to the span.
	From string
	// To is the first one after it. Empty for no end.
	To string
}

// Has tells whether a rank belongs to the span.
func (s RankSpan) Has(rank string) bool { return s.From <= rank && (s.To == "" || rank < s.To) }

// Foremost is the first versions of a package.
type Foremost struct {
	// Newest by time, and when it was published.
	Newest  VersionRef
	Created time.Time
	// Highest by rank, and its rank. Empty when no version has one.
	Highest VersionRef
	Rank    string
}

// MaxDownloads is of how many files downloads are counted at once.
const MaxDownloads = 500

// Download counts downloads of a file.
type Download struct {
	Ref Ref
	// ID of the file that was downloaded: another one may have its name meanwhile.
	ID    int64
	Count int64
	// Last is when the last of them was.
	Last time.Time
}

// VersionQuery asks for versions.
type VersionQuery struct {
	Selection
	Owner string
	// Package is the one whose versions are wanted. Empty for all of the owner's.
	Package string
	// Search is what the package's name must contain (Matches). Empty for any.
	Search string
	// Drafts asks for drafts, the newest first, instead of what is published.
	Drafts bool
	// Order of the versions.
	Order Order
	// Ranks are those that are wanted in the order HighestFirst. The zero value is all.
	Ranks RankSpan
	// After is the Next of the page before. Empty for the first page.
	After Cursor
	// Skip is how many versions to leave out after that: a page by its number. Skipping
	// takes time that grows with the number.
	Skip int64
	// Limit of the page.
	Limit int
	// Total has the page count all versions that the query finds on all pages, those
	// without a rank too.
	Total bool
}

// Cursor is a place in a list of versions. It is the store's own, and may be shown to
// clients: it consists of letters and digits.
type Cursor string

// VersionInfo is a version.
type VersionInfo struct {
	VersionRef // as first spelled
	// ID is of this version and no other, and above those of versions made earlier.
	ID int64
	// Creator is the user who published the first file.
	Creator string
	// Created is when that was, of what was a draft when it was published.
	Created time.Time
	// Draft tells that only those see it who may write it.
	Draft bool
	// Downloads of all its files that there ever were, and when the last was.
	Downloads  int64
	Downloaded time.Time
	// Rank that it was published with. Empty for none.
	Rank string
	// Files and their Bytes.
	Files, Bytes int64
}

// VersionPage is a page of versions.
type VersionPage struct {
	Versions []VersionInfo
	// Next is the After of the next page. Empty when this is the last.
	Next Cursor
	// Total of all pages. Zero where the query does not ask for it.
	Total int64
}

// FileQuery asks for the files of a version.
type FileQuery struct {
	VersionRef
	// Draft asks for the files of a draft, and of nothing else.
	Draft bool
	// After is the Next of the page before. Empty for the first page.
	After string
	// Limit of the page.
	Limit int
}

// FilePage is a page of files.
type FilePage struct {
	// Version that the files are of.
	Version VersionInfo
	Files   []File
	// Next is the After of the next page. Empty when this is the last.
	Next string
}
