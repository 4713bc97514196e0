package store

import (
	"context"
	"time"
)

// Catalog lists owners, packages, versions and files. It is a part of MetadataStore. All
// methods may run concurrently with everything else. Each page is of one moment; two pages
// may be of different moments.
//
// Upper and lower case are the same in the names of a query; results have names as first
// spelled. Something that does not exist is an empty page and not an error, unless the
// method says otherwise. An After or a Cursor that the store did not return means the
// beginning. A limit below 1 means DefaultPage, a limit above MaxPage means MaxPage. The
// errors are ErrUnavailable, ErrDamaged and those of the context.
type Catalog interface {
	// Owners returns the owners of a page, in the order of their folded names.
	Owners(ctx context.Context, query OwnerQuery) (OwnerPage, error)

	// Packages returns the packages of a page, in the order of their folded names.
	Packages(ctx context.Context, query PackageQuery) (PackagePage, error)

	// Versions returns the versions of a page, of one owner or one package.
	Versions(ctx context.Context, query VersionQuery) (VersionPage, error)

	// Foremost returns the first version of a package in each order. Its time does not
	// depend on the number of versions. ErrPackageNotFound when nothing is published.
	Foremost(ctx context.Context, owner, pkg string) (Foremost, error)

	// FindVersion finds a version. ErrPackageNotFound.
	FindVersion(ctx context.Context, ref VersionRef) (VersionInfo, error)

	// Files returns the files of a page, in the order of their folded names.
	// ErrPackageNotFound when the version does not exist.
	Files(ctx context.Context, query FileQuery) (FilePage, error)
}

const (
	// DefaultPage is how many entries a page has by default.
	DefaultPage = 30
	// MaxPage is how many entries a page has at most.
	MaxPage = 1000
)

// PageSize is how many entries a page has for a limit.
func PageSize(limit int) int {
	if limit < 1 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// Selection is the packages that somebody may see, by rules and by the scope of a token.
// The zero Selection is all packages. Its functions get folded names and must be quick,
// because a read calls them once for each package that a query passes.
type Selection struct {
	// Whole tells whether all packages of an owner are selected, future ones too. Then
	// totals are read and not counted. Nil means no owner, unless Select is nil.
	Whole func(owner string) bool
	// None tells that no package of an owner is selected, so that none is read. Nil for no owner.
	None func(owner string) bool
	// Select tells whether a package is selected. It is called where Whole is false. Nil
	// selects all packages.
	Select func(owner, pkg string) bool
}

// IsWhole tells whether all packages of a folded owner are selected.
func (s Selection) IsWhole(owner string) bool {
	return s.Select == nil || s.Whole != nil && s.Whole(owner)
}

// Takes tells whether a package is selected. The names are folded.
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

// OwnerInfo is an owner with at least one selected package.
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
	// NewestFirst is by time. Of two versions with the same time, the version with the
	// higher ID is newer.
	NewestFirst Order = iota
	// HighestFirst is by rank, and by NewestFirst where ranks are equal. Versions without a
	// rank are left out. It needs a package: a query without a package gets NewestFirst.
	HighestFirst
)

// RankSpan is the ranks between two texts, compared byte by byte.
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

// MaxDownloads is for how many files one call counts downloads.
const MaxDownloads = 500

// Download counts downloads of a file.
type Download struct {
	Ref Ref
	// ID of the file that was downloaded: another one may have its name meanwhile.
	ID    int64
	Count int64
	// Last is when the last of these downloads was.
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
	// Total makes the page count all versions that the query finds on all pages, versions
	// without a rank too.
	Total bool
}

// Cursor is a place in a list of versions. Only the store can read it. It consists of
// letters and digits, and may be shown to clients.
type Cursor string

// VersionInfo is a version.
type VersionInfo struct {
	VersionRef // as first spelled
	// ID identifies the version, and is higher than the IDs of versions made earlier.
	ID int64
	// Creator is the user who published the first file.
	Creator string
	// Created is when the first file was published, or when the draft was published.
	Created time.Time
	// Draft tells that only writers of the package see the version.
	Draft bool
	// Downloads of all files that the version ever had, and when the last one was.
	Downloads  int64
	Downloaded time.Time
	// Rank of the version, given when it was published. Empty for none.
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
	// Draft asks for the files of a draft, and not of a published version.
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
