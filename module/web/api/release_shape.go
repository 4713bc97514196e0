package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/gitea"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// releaseBody is a version as a release. Programs fail where a text is missing.
type releaseBody struct {
	ID              int64       `json:"id"`
	TagName         string      `json:"tag_name"`
	TargetCommitish string      `json:"target_commitish"`
	Name            string      `json:"name"`
	Body            string      `json:"body"`
	URL             string      `json:"url"`
	HTMLURL         string      `json:"html_url"`
	TarballURL      string      `json:"tarball_url"`
	ZipballURL      string      `json:"zipball_url"`
	UploadURL       string      `json:"upload_url"`
	Draft           bool        `json:"draft"`
	Prerelease      bool        `json:"prerelease"`
	CreatedAt       string      `json:"created_at"`
	PublishedAt     string      `json:"published_at"`
	Author          gitea.User  `json:"author"`
	Assets          []assetBody `json:"assets"` // the last: they are streamed
}

// assetBody is a file as an asset, or what is computed of files.
type assetBody struct {
	ID                 int64  `json:"id"` // 0 of what is computed
	Name               string `json:"name"`
	Size               int64  `json:"size"`
	DownloadCount      int64  `json:"download_count"`
	CreatedAt          string `json:"created_at"`
	UUID               string `json:"uuid"`
	BrowserDownloadURL string `json:"browser_download_url"`
}

// releaseWriter writes releases of a registry.
type releaseWriter struct {
	*shownReleases
	*stream
	reg   *registry.Registry
	shape *shaper
}

func (s *shownReleases) writer(w http.ResponseWriter, v *visit.Visit, reg *registry.Registry) releaseWriter {
	setHeader(w.Header())
	return releaseWriter{s, &stream{w: w}, reg, shaperOf(v)}
}

// write writes a version, of which it has the first page of files.
func (w releaseWriter) write(ctx context.Context, files store.FilePage, draft bool) error {
	info := files.Version
	release := w.release(w.shape, info)
	release.Draft = draft
	if err := w.begin(release, "]}"); err != nil {
		return err
	}
	listed := newAssets(w.options, w.shape, w.stream, info)
	err := eachFile(ctx, w.reg, files, draft, listed.add)
	if err == nil {
		err = listed.end()
	}
	w.body.WriteString("]}")
	return err
}

func (s *shownReleases) release(shape *shaper, info store.VersionInfo) releaseBody {
	release := releaseBody{
		ID: info.ID, TagName: info.Version, Name: info.Version,
		URL:     shape.visit.Base() + joined(s.path) + joined([]string{"repos", info.Owner, info.Package, "releases", "tags", info.Version}),
		HTMLURL: shape.folder(info.Owner, visit.PackageType, info.Package, info.Version), Prerelease: versions.IsPreRelease(info.Rank),
		CreatedAt: gitea.Time(info.Created), PublishedAt: gitea.Time(info.Created), Author: shape.user(info.Creator), Assets: []assetBody{},
	}
	if s.options.Archives {
		release.TarballURL, release.ZipballURL = shape.archive(info, computed.Tar), shape.archive(info, computed.Zip)
	}
	return release
}

// uuidOf names a path in one text, by which the path is found again without asking a store:
// a file's, or without a file that of an archive.
func uuidOf(ref store.VersionRef, file string, form computed.Archive) string {
	names := []string{ref.Owner, ref.Package, ref.Version, file}
	if file == "" {
		names = append(names, string(form))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(names, "\x00")))
}

// parseUUID returns the path of a file, below the prefix, or of a version and the query that
// asks for an archive. Nil when the text names none.
func parseUUID(uuid string) (path []string, query string) {
	text, err := base64.RawURLEncoding.DecodeString(uuid)
	names := strings.Split(string(text), "\x00")
	if err == nil && len(names) == 5 && names[3] == "" && computed.Archive(names[4]) == computed.Tar {
		names, query = names[:3], archiveQuery(computed.Tar)
	} else if len(names) != 4 {
		return nil, ""
	}
	if err != nil || naming.CheckOwner(names[0]) != nil {
		return nil, ""
	}
	for _, name := range names {
		if name == "" || naming.CheckElement(name) != nil {
			return nil, ""
		}
	}
	return slices.Insert(names, 1, visit.PackageType), query
}

// isAttachment tells whether a path is a uuid of ours. A Gitea behind has others.
func isAttachment(path visit.Path) bool {
	segments, err := path.Segments()
	if err != nil || len(segments) != 1 {
		return false
	}
	named, _ := parseUUID(segments[0])
	return named != nil
}

// lead answers with where the file of a uuid is, which guards in front see and where rules
// decide; whether the file exists is not looked at.
func (s *shownReleases) lead(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return visit.MethodNotAllowed("GET, HEAD")
	}
	segments, err := v.Segments()
	if err != nil {
		return err
	}
	up := strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)
	path, query := parseUUID(segments[0])
	w.Header().Set("Location", "./"+up+strings.TrimPrefix(joined(s.prefix)+joined(path), "/")+query)
	w.WriteHeader(http.StatusFound)
	return nil
}
