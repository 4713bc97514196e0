package module

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const multipartForm = "multipart/form-data"

// errMultipart: a multipart body that has no file to publish.
var errMultipart = errors.New("multipart body has no file part")

// content returns the bytes that a PUT publishes: its body as sent, or the first
// file part of a multipart form (RFC 7578). Every digest that the client named is
// verified before the bytes are accepted.
func (h *Handler) content(r *http.Request, wanted digests) (registry.Content, error) {
	boundary, isForm, err := formBoundary(r.Header.Get("Content-Type"))
	if err != nil {
		return registry.Content{}, err
	}
	if isForm {
		return h.formContent(r.Body, boundary, wanted)
	}
	if h.MaxFileSize > 0 && r.ContentLength > h.MaxFileSize {
		return registry.Content{}, registry.ErrTooLarge
	}
	sha, others, err := splitSHA256(append(wanted.body, wanted.stored...))
	if err != nil {
		return registry.Content{}, err
	}
	return registry.Content{
		Body:   verify(h.limit(r.Body), others),
		Size:   r.ContentLength,
		SHA256: sha,
	}, nil
}

// formBoundary reads a Content-Type. One that is not a form, or that cannot be
// read, means a body to store as sent.
func formBoundary(contentType string) (boundary string, isForm bool, err error) {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if mediaType == "" {
		mediaType, _, _ = strings.Cut(contentType, ";")
		mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	}
	if mediaType != multipartForm {
		return "", false, nil
	}
	if err != nil || parameters["boundary"] == "" {
		return "", true, fmt.Errorf("%w: no boundary", errMultipart)
	}
	return parameters["boundary"], true, nil
}

func (h *Handler) formContent(body io.Reader, boundary string, wanted digests) (registry.Content, error) {
	sha, others, err := splitSHA256(wanted.stored)
	if err != nil {
		return registry.Content{}, err
	}
	whole := verify(body, wanted.body)
	return registry.Content{
		Body:   verify(h.limit(&formFile{whole: whole, form: multipart.NewReader(whole, boundary)}), others),
		Size:   -1,
		SHA256: sha,
	}, nil
}

// formFile reads the first file part of a form. It begins when it is first read:
// until then nothing is asked of a client that waits to be told to send. At the
// part's end it reads the rest of the body: its digest covers that too, and a body
// that is cut after the part is still cut.
type formFile struct {
	whole io.Reader
	form  *multipart.Reader
	part  *multipart.Part
}

func (f *formFile) Read(p []byte) (int, error) {
	if f.part == nil {
		part, err := firstFile(f.form)
		if err != nil {
			return 0, err
		}
		f.part = part
	}
	n, err := f.part.Read(p)
	if err != io.EOF {
		return n, err
	}
	if _, err := io.Copy(io.Discard, f.whole); err != nil {
		return n, err
	}
	return n, io.EOF
}

func firstFile(form *multipart.Reader) (*multipart.Part, error) {
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil, errMultipart
		}
		if err != nil {
			return nil, fmt.Errorf("reading multipart body: %w", err)
		}
		if part.FileName() != "" {
			return part, nil
		}
	}
}

// limit returns a reader that fails with ErrTooLarge beyond the largest size that
// may be published.
func (h *Handler) limit(reader io.Reader) io.Reader {
	if h.MaxFileSize == 0 {
		return reader
	}
	return registry.LimitBody(reader, h.MaxFileSize, registry.ErrTooLarge)
}
