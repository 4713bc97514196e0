package computed

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// CacheControl is that of everything computed: what the URL means may be another thing at
// the next request.
const CacheControl = "private, no-cache, no-transform"

// SumsName is the name of the computed list of a version's checksums.
const SumsName = "SHA256SUMS"

// ServeSums answers a GET or HEAD with the checksums of a version's files, one a line. The
// error is one of the catalogue, or a *visit.BrokenOff.
func ServeSums(w http.ResponseWriter, r *http.Request, reg *registry.Registry, of Version) error {
	v, err := findVersion(r.Context(), reg, of)
	if err != nil {
		return err
	}
	setHeaders(w.Header(), "text/plain; charset=utf-8")
	return serveParts(w, r, sumsParts(r.Context(), v), nil)
}

// Archive is a form of an archive.
type Archive string

const (
	Tar Archive = "tar"
	Zip Archive = "zip"
)

// errArchive: there is no such form.
var errArchive = visit.Refuse(http.StatusBadRequest, "unknown archive: write archive=tar or archive=zip")

// ServeArchive answers a GET or HEAD with all files of a version. A tar has a size, an entity
// tag and ranges; a zip has none of them, and its length is known at its end. The error is one
// of the catalogue, 400 for a form that there is not, or a *visit.BrokenOff.
func ServeArchive(w http.ResponseWriter, r *http.Request, reg *registry.Registry, of Version, form Archive) error {
	if form != Tar && form != Zip {
		return errArchive
	}
	v, err := findVersion(r.Context(), reg, of)
	if err != nil {
		return err
	}
	open := openerOf(r.Context(), reg, of)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": ArchiveName(v.seen, form)}))
	if form == Tar {
		setHeaders(w.Header(), "application/x-tar")
		return serveParts(w, r, tarParts(r.Context(), v), open)
	}
	setHeaders(w.Header(), "application/zip")
	return serveZip(w, r, v, open)
}

// ArchiveName is the name under which an archive of a version is saved.
func ArchiveName(of store.VersionInfo, form Archive) string {
	return strings.ReplaceAll(of.Package+"-"+of.Version, "/", "-") + "." + string(form)
}

func setHeaders(header http.Header, contentType string) {
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", CacheControl)
	header.Set("X-Content-Type-Options", "nosniff")
}

// serveParts answers with a computed file. Nil opens no file, where the parts have none. Of
// several ranges each could be a walk over the whole version: they are ignored (RFC 9110
// section 14.2).
func serveParts(w http.ResponseWriter, r *http.Request, p parts, open opener) error {
	if strings.Contains(r.Header.Get("Range"), ",") {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	want, err := p.measure()
	if err != nil {
		return err
	}
	w.Header().Set("ETag", want.tag())
	return send.Serve(w, r, send.Source{Size: want.size, Open: func(remote.Section) (io.ReadSeekCloser, error) {
		return newReader(p, want, open), nil
	}})
}

// serveZip answers with a zip, whose errors are found while it is written.
func serveZip(w http.ResponseWriter, r *http.Request, v *version, open opener) error {
	known, err := send.IsKnown(r.Header)
	if err != nil {
		return err
	}
	if known {
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	counted := &countingWriter{Writer: w}
	err = writeZip(r.Context(), counted, v, open)
	switch {
	case counted.failed != nil:
		return nil // the client is gone
	case err != nil && counted.bytes > 0:
		return &visit.BrokenOff{Err: err}
	}
	return err
}

// countingWriter tells whether an answer has begun, and whether its client takes it.
type countingWriter struct {
	io.Writer
	bytes  int64
	failed error
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.bytes += int64(n)
	c.failed = err
	return n, err
}

// openerOf opens files of a version as they were listed: errChanged when one has other bytes
// by now.
func openerOf(ctx context.Context, reg *registry.Registry, of Version) opener {
	find := reg.Find
	if of.Draft {
		find = reg.FindDraft
	}
	return func(listed store.File, whole bool) (io.ReadSeekCloser, error) {
		found, err := find(ctx, listed.Ref)
		if err != nil {
			return nil, err
		}
		if found.Digest != listed.Digest {
			return nil, errChanged
		}
		switch {
		case !of.Verify:
			return found.Open(ctx)
		case whole:
			return found.OpenVerified(ctx)
		}
		return found.OpenRange(ctx)
	}
}
