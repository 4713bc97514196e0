package api

import (
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
)

// TestDescriptionNamesWhatIsAnswered: each option takes its operations, parameters, header
// lines and texts with it.
//
// Seen to fail with references to a part that is dropped, and with a header line that has no
// mark.
func TestDescriptionNamesWhatIsAnswered(t *testing.T) {
	all := Options{Releases: true, Drafts: true, Resumable: true, Archives: true, Selects: true, Sums: computed.SumsName, Hashes: computed.Hashes}
	for name, test := range map[string]struct {
		without    func(o *Options)
		has, lacks []string // of which the lacking ones are beginnings of names
	}{
		"everything": {func(*Options) {},
			[]string{`"archive"`, `"patch"`, `"post"`, `"options"`, `"Problem"`, `"Asset"`, `"Content-Location"`, `"X-Publish"`, "In the name of a download @version", "Of a download also latest",
				"Of a download also SHA256SUMS, the name of a file with .sha256, the name of a file with .sha512, the name of a file with .sha1, the name of a file with .md5, where"}, []string{"x-"}},
		"no releases":  {func(o *Options) { o.Releases = false }, []string{`"Version"`}, []string{"Release", "Asset", "pre-release", "/attachments", "/api/v1/repos"}},
		"no archives":  {func(o *Options) { o.Archives = false }, []string{`"post"`}, []string{"archive", "application/zip"}},
		"no drafts":    {func(o *Options) { o.Drafts = false }, []string{`"archive"`}, []string{"post", "publishDraft", "asDraft", "X-Publish"}},
		"no resuming":  {func(o *Options) { o.Resumable = false }, []string{`"archive"`, `"Location"`}, []string{"patch", "options", `upload"`, "Upload-", "Accept-Patch", "application/problem", "Problem", "104"}},
		"no checksums": {func(o *Options) { o.Sums, o.Hashes = "", nil }, []string{`"The name of a file. In the name`}, nil},
		"no selectors": {func(o *Options) { o.Selects = false }, []string{`"description":"A version"`}, []string{"Content-Location"}},
	} {
		t.Run(name, func(t *testing.T) {
			options := all
			test.without(&options)
			got := string(describe([]string{"api", "packages"}, []string{"api", "v1"}, options))
			for _, text := range test.has {
				if !strings.Contains(got, text) {
					t.Errorf("%s is missing", text)
				}
			}
			for _, text := range test.lacks {
				if strings.Contains(got, `"`+text) || strings.Contains(got, "/"+text+`"`) {
					t.Errorf("it has %s", text)
				}
			}
		})
	}
}
