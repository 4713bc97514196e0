package receive

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

const multipartForm = "multipart/form-data"

// maxFormOverhead bounds what a form has besides its file, in bytes: what stands before,
// between and after its parts, their heads, and fields. Of it the reader of a head keeps
// in memory what has come.
const maxFormOverhead = 64 << 10

// Forms that are not published.
var (
	errMultipart  = visit.Refuse(http.StatusBadRequest, "multipart body has no file part")
	errTwoFiles   = visit.Refuse(http.StatusBadRequest, "multipart body has a second file part: publish one file at a time")
	errFormLarge  = visit.Refuse(http.StatusBadRequest, fmt.Sprintf("multipart body has more than %d KiB besides its file", maxFormOverhead>>10))
	errFormBroken = visit.Refuse(http.StatusBadRequest, "multipart body cannot be read: the header of a part is wrong, or the last boundary is missing")
)

// IsForm tells whether a request says that its body is a form, whose file would be taken out.
func IsForm(r *http.Request) bool {
	_, is, _ := formBoundary(r.Header.Get("Content-Type"))
	return is
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

func (l Limits) formContent(body io.Reader, boundary string, wanted digests) (registry.Content, error) {
	sha, others := splitSHA256(wanted.stored)
	whole := &formBody{reader: verify(body, wanted.body), left: maxFormOverhead}
	return registry.Content{
		Body:   verify(l.limit(&formFile{whole: whole, form: multipart.NewReader(whole, boundary)}), others),
		Size:   -1,
		SHA256: sha,
	}, nil
}

// formBody is the body of a form. It ends with errFormLarge when it has more than is
// left for what is not the file.
type formBody struct {
	reader io.Reader
	inFile bool // what is read is the file's
	left   int
	err    error // why it ended, but for io.EOF
}

func (b *formBody) Read(p []byte) (n int, err error) {
	if !b.inFile {
		if b.left == 0 {
			b.err = errFormLarge
			return 0, b.err
		}
		p = p[:min(len(p), b.left)]
	}
	n, err = b.reader.Read(p)
	if !b.inFile {
		b.left -= n
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// formFile reads the only file part of a form. It begins when it is first read: until
// then nothing is asked of a client that waits to be told to send. At the part's end it
// reads the rest of the body: its digest covers that too, there may be another file, and
// a body that is cut after the part is still cut.
type formFile struct {
	whole *formBody
	form  *multipart.Reader
	part  *multipart.Part
}

func (f *formFile) Read(p []byte) (int, error) {
	if f.part == nil {
		part, err := f.nextFile()
		if err == io.EOF {
			err = errMultipart
		}
		if err != nil {
			return 0, err
		}
		f.part = part
	}
	f.whole.inFile = true
	n, err := f.part.Read(p)
	f.whole.inFile = false
	switch err {
	case nil:
		return n, nil
	case io.EOF:
		return n, f.end()
	}
	return n, f.failure(err)
}

// end reads what comes after the file and returns io.EOF when that is all right.
func (f *formFile) end() error {
	switch _, err := f.nextFile(); err {
	case nil:
		return errTwoFiles
	case io.EOF:
	default:
		return err
	}
	if _, err := io.Copy(io.Discard, f.whole); err != nil {
		return err
	}
	return io.EOF
}

// nextFile returns the next part that is a file, or io.EOF behind the last part.
func (f *formFile) nextFile() (*multipart.Part, error) {
	for {
		part, err := f.form.NextPart()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, f.failure(err)
		}
		if part.FileName() != "" {
			return part, nil
		}
	}
}

// failure is the reason of an error of the reader of forms: what ended the body, or
// else the form itself, which may end before its last boundary.
func (f *formFile) failure(err error) error {
	if f.whole.err != nil {
		return f.whole.err
	}
	return fmt.Errorf("%w: %v", errFormBroken, err) // whose end is not the file's
}
