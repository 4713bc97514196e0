package files

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/reading"
	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// attempts bounds how often a download begins anew because other bytes have taken the
// file's name.
const attempts = 8

// get answers GET and HEAD. What was published under the very names of the path comes before
// anything that may stand in their place.
func (f *Files) get(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(grant.Read, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) error {
		d := &download{Files: f, w: w, r: r, v: v, reg: reg, ref: v.About}
		err := d.answer()
		if errors.Is(err, store.ErrPackageNotFound) && !f.Drafts.Off && v.Can(grant.Write, v.About.Owner, v.About.Package) {
			err = d.answerDraft(err)
		}
		if errors.Is(err, store.ErrPackageNotFound) && f.Select.Takes(v.About.Version) {
			return d.answerSelected()
		}
		return err
	})
}

// download is a GET or HEAD of one path.
type download struct {
	*Files
	w   http.ResponseWriter
	r   *http.Request
	v   *visit.Visit
	reg *registry.Registry

	ref          store.Ref // what is wanted now
	draft        bool      // whether that is a draft's
	cacheControl string    // empty for that of files
	location     string    // its exact path, where another one was asked for
}

// restart drops the header of an answer that is not given, but for where the file is, and
// that it is a draft's.
func (d *download) restart() {
	d.v.Restart(d.w)
	if d.location != "" {
		d.w.Header().Set("Content-Location", d.location)
	}
	if d.draft {
		SayDraft(d.w.Header())
	}
}

// answerDraft answers with what a draft has, or returns missing when there is no draft.
func (d *download) answerDraft(missing error) error {
	draft := *d
	draft.draft, draft.cacheControl = true, computed.CacheControl
	draft.restart()
	err := draft.answer()
	if errors.Is(err, store.ErrPackageNotFound) {
		return missing
	}
	return err
}

// answerSelected answers with what the version of the path stands for. The version is chosen
// first, and then the file in it: a release is many files, and a choice for each of them
// would hand out some of another release.
func (d *download) answerSelected() error {
	asked := d.ref
	chosen, err := d.reg.Select(d.r.Context(), asked.VersionRef)
	if unstable := new(versions.UnstableError); errors.As(err, &unstable) {
		return visit.Tell(err, "%v", unstable)
	}
	if err != nil {
		return err
	}
	d.ref.Version, d.cacheControl = chosen.Version, computed.CacheControl
	for _, name := range namesIn(chosen.Version, asked.File) {
		d.ref.File, d.location = name, location(d.ref.VersionRef, name, d.r.URL.RawQuery)
		d.restart()
		if err = d.answer(); !errors.Is(err, store.ErrFileNotFound) {
			return err
		}
	}
	return visit.Tell(err, "%v in version %s, which %s means", store.ErrFileNotFound, chosen.Version, asked.Version)
}

// versionWord stands for the version in the name of a file of a version that is chosen.
const versionWord = "@version"

// namesIn returns the names that a file may have in a version: its own or, where there is no
// such file, one in which versionWord is the version as it is spelled, or without the v that it
// begins with.
func namesIn(version, file string) []string {
	names := []string{file}
	if strings.Contains(file, versionWord) {
		names = append(names, strings.ReplaceAll(file, versionWord, version))
		if short, cut := strings.CutPrefix(version, "v"); cut {
			names = append(names, strings.ReplaceAll(file, versionWord, short))
		}
	}
	return names
}

// location returns the exact path of a file, or of an archive of a version, relative to the
// path that was asked for (RFC 9110 section 8.7).
func location(version store.VersionRef, file, query string) string {
	if file == "" {
		return "./" + url.PathEscape(version.Version) + "?" + query
	}
	return "../" + url.PathEscape(version.Version) + "/" + url.PathEscape(file)
}

// answer answers with a file, or with what is computed of the version. The error is
// ErrPackageNotFound when there is no such version, ErrFileNotFound when there is nothing of
// that name in it.
func (d *download) answer() (err error) {
	if d.ref.File == "" {
		form := computed.Archive(d.r.URL.Query().Get(archiveWord))
		return computed.ServeArchive(d.w, d.r, d.reg, d.version(), form)
	}
	for range attempts {
		if err = d.file(); !errors.Is(err, reading.ErrReplaced) {
			break
		}
		d.restart()
	}
	if errors.Is(err, store.ErrFileNotFound) {
		return d.checksums(err)
	}
	return err
}

func (d *download) file() error {
	find, begun := d.reg.Find, d.reg.NoteDownload
	if d.draft {
		find, begun = d.reg.FindDraft, func(store.File) {}
	}
	file, err := find(d.r.Context(), d.ref)
	if err != nil {
		return err
	}
	d.v.Found(file.File)
	manner := send.Manner{Verify: d.VerifyReads, CacheControl: d.cacheControl, Begun: func() { begun(file.File) }}
	if isExact := manner.CacheControl == ""; isExact && d.Cache != "" {
		manner.Public = d.public()
	}
	return send.File(d.w, d.r, file, manner)
}

// public is the Cache-Control of a file that caches may keep. Empty where they may not:
// not everybody reads it, or other bytes may take its name.
func (d *download) public() string {
	onDuplicate, isImmutable := d.v.Republishing(d.ref.Owner, d.ref.Package)
	switch {
	case !d.v.IsOpen(d.ref.Owner, d.ref.Package) || onDuplicate == store.Replace:
		return ""
	case isImmutable:
		return d.Cache + ", immutable"
	}
	return d.Cache
}

// version is what computed files are made of.
func (d *download) version() computed.Version {
	return computed.Version{VersionRef: d.ref.VersionRef, Draft: d.draft, Verify: d.VerifyReads}
}

// checksums answers with the checksums of the version, or of the file in it whose name the
// path has before the name of a hash, or else returns missing.
func (d *download) checksums(missing error) error {
	if d.Checksums.Sums != "" && store.Fold(d.ref.File) == store.Fold(d.Checksums.Sums) {
		return computed.ServeSums(d.w, d.r, d.reg, d.version())
	}
	name, hash, found := cutHash(d.ref.File)
	if !found || !d.Checksums.has(hash) {
		return missing
	}
	lookup := d.reg.Lookup
	if d.draft {
		lookup = d.reg.LookupDraft
	}
	file, err := lookup(d.r.Context(), store.Ref{VersionRef: d.ref.VersionRef, File: name})
	if errors.Is(err, store.ErrFileNotFound) {
		return missing
	}
	if err != nil {
		return err
	}
	return computed.ServeSidecar(d.w, d.r, d.reg, file, hash)
}

// cutHash cuts the name of a hash off the name of a file.
func cutHash(file string) (name string, hash computed.Hash, found bool) {
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return "", "", false
	}
	return file[:dot], computed.Hash(store.Fold(file[dot+1:])), true
}
