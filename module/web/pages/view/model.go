package view

// These types are what the templates get. Their fields are the interface of a template
// folder: docs/browse.md lists them.

// MaxRows is the most rows that a page has.
const MaxRows = 50

// Link is a place to go.
type Link struct {
	// Text is what the link says.
	Text string
	// URL is relative to the page.
	URL string
}

// Frame is what every page has.
type Frame struct {
	// Title is that of the window.
	Title string
	// Path leads from the registry down to this page, which is not in it.
	Path []Link
	// Here is what the page itself is called at the end of Path.
	Here string
	// User is the user of the request, empty when nobody is signed in.
	User string
	// SignIn is the URL that asks for credentials and leads back. Empty for a user.
	SignIn string
	// Edit leads to where the reader may publish here, or delete. Nil for others.
	Edit *Link
	// Editing tells that this is that page, which has a style and a script of its own.
	Editing bool
	// Nonce lets an element style or script through the page's policy.
	Nonce string
}

// Badges say what is special about an owner, a package or a version.
type Badges struct {
	// Private: not everybody may read it.
	Private bool
	// Draft: only those who may publish in the package see it.
	Draft bool
	// Immutable: what is published is neither deleted nor replaced, but by admins.
	Immutable bool
	// Latest: it is what `latest` means in a URL.
	Latest bool
	// PreRelease: its version says so, by the rules of semantic versions.
	PreRelease bool
}

// Search is a form that filters a page's rows.
type Search struct {
	// Query is what the rows contain, empty for all.
	Query string
	// Of says what is searched, such as packages.
	Of string
}

// Paging leads through more rows than one page has.
type Paging struct {
	// First is the URL of the first page, empty on it.
	First string
	// Next is the URL of the next page, empty on the last.
	Next string
}

// Owners is the page of the registry: owners.html.
type Owners struct {
	Frame
	Rows []OwnerRow
	Paging
	// Publish are the commands that publish a file, on the page of an empty registry.
	Publish []Command
}

// OwnerRow is an owner who has something that the reader may read.
type OwnerRow struct {
	Link
	Badges
	// Packages is how many there are, -1 where the reader may not read all of them.
	Packages Count
}

// Packages is the page of an owner: packages.html.
type Packages struct {
	Frame
	// Owner in the spelling of its first file.
	Owner string
	Badges
	Rows []PackageRow
	Search
	Paging
	// Publish are the commands that publish a file, on the page of an owner without any.
	Publish []Command
	// Drafts are those that the reader may publish in, the newest first.
	Drafts []VersionRow
}

// PackageRow is a package.
type PackageRow struct {
	Link
	Badges
	// Versions is how many there are.
	Versions Count
	// Newest is the version that was published last.
	Newest Link
	// Updated is when it was published.
	Updated Moment
}

// Versions is the page of a package: versions.html.
type Versions struct {
	Frame
	Owner, Package string
	Badges
	// Total is how many versions there are.
	Total Count
	// BySemver tells that the rows are in the order of semantic versions, highest first.
	// Otherwise the newest is first.
	BySemver bool
	// OrderURL leads to the other order.
	OrderURL string
	Rows     []VersionRow
	Paging
	// Drafts are those that the reader may publish in, the newest first.
	Drafts []VersionRow
}

// VersionRow is a version.
type VersionRow struct {
	Link
	Badges
	// Published is when the version was published, or the draft begun.
	Published Moment
	// Publisher is the user who published the version's first file.
	Publisher string
	Files     Count
	Size      Size
}

// Version is the page of a version: version.html.
type Version struct {
	Frame
	Owner, Package, Version string
	Badges
	Published Moment
	Publisher string
	// Files, Size and Downloads are those of all its files, not only of this page's rows.
	// Downloads is -1 where they are not known.
	Files     Count
	Size      Size
	Downloads Count
	Rows      []FileRow
	Paging
	// Get has the commands for one file, nil where the page has none.
	Get *Get
	// Whole are links to all files at once: archives, and their checksums.
	Whole []Link
	// Texts are the version's own words: README, CHANGELOG and .txt files.
	Texts []Text
}

// Edit is the page of those who publish and delete: edit.html.
type Edit struct {
	Frame
	// Owner, Package and Version are those of the folder, empty where it has none.
	Owner, Package, Version string
	Badges
	// Back leads to the folder's own page.
	Back string
	// Upload is where files are taken, nil for those who may only delete.
	Upload *Upload
	// Rows are the files of a version.
	Rows []FileRow
	Paging
	// MayDelete tells that the reader may delete the version and its files.
	MayDelete bool
}

// Upload is where a page takes files.
type Upload struct {
	// Root is the URL of the registry, relative to the page.
	Root string
	// Owner, Package and Version are where files go. What is empty is asked for.
	Owner, Package, Version string
	// User is offered as the owner.
	User string
	// Draft tells that the version is a draft. MayDraft tells that a new one can be.
	Draft, MayDraft bool
	// Resumable tells that uploads can come in several requests.
	Resumable bool
	// Marks are the characters that names of files may have beside letters and digits.
	Marks string
}

// FileRow is a file.
type FileRow struct {
	Link
	Published Moment
	Publisher string
	Size      Size
	// Downloads is -1 where they are not known.
	Downloads Count
	// SHA256 in hexadecimal.
	SHA256 string
	// Kind is signature, SBOM, provenance or checksum where the name says so.
	Kind string
	// Get is the URL of this page with the commands for this file.
	Get string
}

// Get is how to download one file.
type Get struct {
	File     string
	Commands []Command
}

// Text is a file that a page shows.
type Text struct {
	Link
	// Body is the text, or its beginning.
	Body string
	// Cut tells that the file goes on.
	Cut bool
	// Open tells that it is shown at once.
	Open bool
}

// Failure is the page of a refusal: failure.html.
type Failure struct {
	Frame
	// Status is that of the answer, such as 404, and its text.
	Status     int
	StatusText string
	// Reason is what clients get as text.
	Reason string
}
