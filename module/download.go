package module

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Headers of every download. no-transform keeps Caddy's encode away: artifacts
// arrive as they were published. The policy keeps a published HTML page from
// acting in the registry's origin.
const (
	downloadCacheControl = "max-age=0, private, must-revalidate, no-transform"
	downloadPolicy       = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
)

// maxRanges is how many ranges of a file one request may ask for. More are ignored
// (RFC 9110 section 14.2): empty ones cost the client nothing, and a part's head
// each in the answer.
const maxRanges = 100

// download answers GET and HEAD. Ranges and conditions are http.ServeContent's
// (RFC 9110 sections 13 and 14). The request's own context may end before.
func (h *Handler) download(ctx context.Context, w http.ResponseWriter, r *http.Request, reg *registry.Registry, ref store.Ref, record *record) error {
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	file, content, err := reg.OpenIf(ctx, ref, func(file store.File) bool {
		r = withoutEmptySuffixes(r, file.Size)
		return sendsBytes(r, file)
	})
	if err != nil {
		return err
	}
	record.found(file)
	if content == nil {
		setDownloadHeaders(w.Header(), file)
		http.ServeContent(w, r, "", file.Created, noBytes(file.Size))
		return nil
	}
	defer content.Close()
	if h.VerifyReads {
		return h.serveVerified(ctx, w, r, reg, file, content, record.route)
	}
	setDownloadHeaders(w.Header(), file)
	h.serveContent(w, r, file, content, record.route)
	return nil
}

// serveContent answers with a file. What was promised and cannot be read ends the
// response before its end.
func (h *Handler) serveContent(w http.ResponseWriter, r *http.Request, file store.File, content io.ReadSeeker, rt route) {
	onDisk, ok := content.(*os.File)
	if !ok {
		http.ServeContent(w, r, "", file.Created, content)
		return
	}
	writer := newFileWriter(w, r, &fileContent{file: onDisk, size: file.Size})
	http.ServeContent(writer, r, "", file.Created, writer.content)
	if writer.failure != nil {
		h.logFailure(http.StatusInternalServerError, r.Method, rt, writer.failure)
		panic(http.ErrAbortHandler)
	}
}

// setDownloadHeaders sets them all in one piece of memory. Their names are in the
// form that http.Header keeps them in.
func setDownloadHeaders(header http.Header, file store.File) {
	values := [...]string{
		"application/octet-stream", contentDisposition(file.File), downloadCacheControl, downloadPolicy, "nosniff",
		entityTag(file.Digest), reprDigest(file.Digest),
	}
	for i, name := range [len(values)]string{
		"Content-Type", "Content-Disposition", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options",
		"Etag", "Repr-Digest",
	} {
		header[name] = values[i : i+1 : i+1]
	}
}

// setValidators sets what lets a client verify and revalidate a file: a strong
// ETag (RFC 9110 section 8.8.3) and Repr-Digest (RFC 9530 section 3).
func setValidators(header http.Header, digest store.Digest) {
	header.Set("ETag", entityTag(digest))
	header.Set("Repr-Digest", reprDigest(digest))
}

func entityTag(digest store.Digest) string {
	var tag [2 + 2*len(digest)]byte
	tag[0], tag[len(tag)-1] = '"', '"'
	hex.Encode(tag[1:], digest[:])
	return string(tag[:])
}

func reprDigest(digest store.Digest) string {
	text := make([]byte, 0, 64)
	text = append(text, "sha-256=:"...)
	text = base64.StdEncoding.AppendEncode(text, digest[:])
	return string(append(text, ':'))
}

// contentDisposition names the file as an attachment (RFC 6266). A name outside
// the documented set carries the extended form too (RFC 8187), for clients that
// stumble over the quoted one.
func contentDisposition(file string) string {
	// No name that can be published has a quote, a backslash, or more than ASCII.
	disposition := `attachment; filename="` + file + `"`
	if store.CheckFile(file, store.FileNamesDocumented) == nil {
		return disposition
	}
	return disposition + "; filename*=utf-8''" + strings.ReplaceAll(url.QueryEscape(file), "+", "%20")
}
