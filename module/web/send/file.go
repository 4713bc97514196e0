package send

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry/reading"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// Headers of every download. no-transform keeps Caddy's encode away: artifacts
// arrive as they were published. The policy keeps a published HTML page from
// acting in the registry's origin.
const (
	downloadType         = "application/octet-stream"
	downloadCacheControl = "max-age=0, private, must-revalidate, no-transform"
	downloadPolicy       = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
)

// Manner is how a file is sent.
type Manner struct {
	// Verify has the bytes compared with their digest.
	Verify bool
	// CacheControl is that of the answer. Empty is that of a file at its own path.
	CacheControl string
	// Public is the Cache-Control of a 200, 206 or 304, in place of the other one. Empty for
	// none.
	Public string
	// Begun is called when an answer has bytes from the first one on. Nil for nothing.
	Begun func()
}

// File answers a GET or HEAD with a file. Bytes that are missing are found by the first GET
// that wants them, or by the scrub, and not by a HEAD, which is 200 until then. With verify
// no complete answer has other bytes than those that were published: what is wrong before
// the answer begins is an error; later the answer is cut, so that over HTTP/1 it is shorter
// than it says, and over HTTP/2 and HTTP/3 its stream is reset. The error is that of opening
// the bytes, and nothing was written then, or a *visit.BrokenOff.
func File(w http.ResponseWriter, r *http.Request, file *reading.File, manner Manner) error {
	open := func(want remote.Section) (io.ReadSeekCloser, error) {
		switch {
		case !manner.Verify:
			return file.OpenSection(r.Context(), want)
		case want == remote.Whole(file.Size):
			return file.OpenVerified(r.Context())
		}
		return file.OpenRange(r.Context())
	}
	if file.IsDamaged() { // and looks to nobody like a good one
		opened, err := file.Open(r.Context())
		if err != nil {
			return err
		}
		if err := opened.Close(); err != nil {
			return err
		}
	}
	setDownloadHeaders(w.Header(), file.File)
	if manner.CacheControl != "" {
		w.Header().Set("Cache-Control", manner.CacheControl)
	}
	if r.Header.Get("Want-Digest") != "" {
		w.Header().Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(file.Digest[:]))
	}
	source := Source{Size: file.Size, Modified: file.Created, Open: open, Begun: manner.Begun, Public: manner.Public}
	if !manner.Verify {
		source.Elsewhere = func() (string, error) { return file.RedirectURL(r.Context(), saidOf(w.Header())) }
	}
	return Serve(w, r, source)
}

// saidOf is what a redirected download says of itself. The header has another type by then when
// several ranges are wanted, which are not sent from here.
func saidOf(header http.Header) remote.Header {
	return remote.Header{
		ContentType: downloadType, ContentDisposition: header.Get("Content-Disposition"), CacheControl: header.Get("Cache-Control"),
	}
}

// setDownloadHeaders sets them all in one piece of memory. Their names are in the
// form that http.Header keeps them in.
func setDownloadHeaders(header http.Header, file store.File) {
	values := [...]string{
		downloadType, contentDisposition(file.File), downloadCacheControl, downloadPolicy, "nosniff",
		EntityTag(file.Digest), reprDigest(file.Digest), file.Digest.String(),
	}
	for i, name := range [len(values)]string{
		"Content-Type", "Content-Disposition", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options",
		"Etag", "Repr-Digest", "X-Checksum-Sha256",
	} {
		header[name] = values[i : i+1 : i+1]
	}
}

// SetValidators sets what lets a client verify and revalidate a file: a strong
// ETag (RFC 9110 section 8.8.3) and Repr-Digest (RFC 9530 section 3).
func SetValidators(header http.Header, digest store.Digest) {
	header.Set("ETag", EntityTag(digest))
	header.Set("Repr-Digest", reprDigest(digest))
}

// EntityTag is the strong entity tag of a file (RFC 9110 section 8.8.3).
func EntityTag(digest store.Digest) string {
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
	if naming.CheckFile(file, naming.Documented) == nil {
		return disposition
	}
	return disposition + "; filename*=utf-8''" + strings.ReplaceAll(url.QueryEscape(file), "+", "%20")
}
