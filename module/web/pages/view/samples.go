package view

import "time"

// samples has every page once, with every part that a page can have. Templates are tried
// with them.
var samples = map[string]any{
	"owners.html": Owners{
		Frame: sampleFrame, Rows: []OwnerRow{{Link: sampleLink, Badges: allBadges, Packages: 2}},
		Paging: samplePaging,
	},
	"packages.html": Packages{
		Frame: sampleFrame, Owner: "owner", Badges: allBadges,
		Rows:   []PackageRow{{Link: sampleLink, Badges: allBadges, Versions: 2, Newest: sampleLink, Updated: sampleMoment}},
		Search: sampleSearch, Paging: samplePaging, Drafts: sampleDrafts,
	},
	"versions.html": Versions{
		Frame: sampleFrame, Owner: "owner", Package: "package", Badges: allBadges, Total: 2, OrderURL: "./",
		Rows:   []VersionRow{{Link: sampleLink, Badges: allBadges, Published: sampleMoment, Publisher: "user", Files: 2, Size: 1}},
		Paging: samplePaging, Drafts: sampleDrafts,
	},
	"version.html": Version{
		Frame: sampleFrame, Owner: "owner", Package: "package", Version: "version", Badges: allBadges,
		Published: sampleMoment, Publisher: "user", Files: 2, Size: 1, Downloads: 2,
		Rows:   []FileRow{{Link: sampleLink, Published: sampleMoment, Publisher: "user", Size: 1, Downloads: 2, SHA256: "0", Kind: KindSBOM, Get: "./"}},
		Paging: samplePaging,
		Get:    &Get{File: "file", Commands: sampleCommands}, Whole: []Link{sampleLink},
		Texts: []Text{{Link: sampleLink, Body: "text", Cut: true, Open: true}},
	},
	"edit.html": Edit{
		Frame: editingFrame, Owner: "owner", Package: "package", Version: "version", Badges: allBadges, Back: "./",
		Upload: &Upload{Root: "./", User: "user", Draft: true, MayDraft: true, Resumable: true, Marks: "-"},
		Rows:   []FileRow{{Link: sampleLink, Size: 1}}, Paging: samplePaging, MayDelete: true,
	},
	"failure.html": Failure{Frame: sampleFrame, Status: 404, StatusText: "Not Found", Reason: "not found"},
}

var (
	sampleLink     = Link{Text: "text", URL: "./"}
	sampleFrame    = Frame{Title: "title", Path: []Link{sampleLink}, Here: "here", User: "user", SignIn: "./", Edit: &sampleLink, Nonce: "nonce"}
	editingFrame   = Frame{Title: "title", Path: []Link{sampleLink}, Here: "here", User: "user", Editing: true, Nonce: "nonce"}
	sampleSearch   = Search{Query: "query", Of: "packages"}
	samplePaging   = Paging{First: "./", Next: "./"}
	sampleDrafts   = []VersionRow{{Link: sampleLink, Badges: allBadges, Published: sampleMoment, Publisher: "user", Files: 2, Size: 1}}
	sampleMoment   = Moment{at: time.Unix(1, 0), now: time.Unix(2, 0)}
	sampleCommands = []Command{{Label: "curl", Line: "curl"}}
	allBadges      = Badges{Private: true, Draft: true, Immutable: true, Latest: true, PreRelease: true}
)
