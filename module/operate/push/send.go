package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// resumeFrom is the size from which an upload is worth being resumed.
const resumeFrom = 4 << 20

// sender publishes files into one version.
type sender struct {
	*client.Client
	version client.VersionURL
	draft   bool
	meter   *terminal.Meter
	listing listing
}

// outcome is what became of a file.
type outcome struct {
	digest store.Digest
	// there: the server had it already, and nothing was sent.
	there bool
	// published: and it is in no draft, although it was to go into one.
	published bool
}

// send publishes one file, unless the version has it already.
func (s *sender) send(ctx context.Context, file local) (sent outcome, err error) {
	opened, err := os.Open(file.path)
	if err != nil {
		return sent, fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	defer opened.Close()
	place := s.version.File(file.name)
	existing, err := s.head(ctx, place)
	if err != nil {
		return sent, err
	}
	exists := existing != nil
	limits, resumable := uploadLimits{}, false
	if !exists && file.size >= resumeFrom {
		if limits, resumable, err = s.limits(ctx, place); err != nil {
			return sent, err
		}
		if limits.maxSize > 0 && file.size > limits.maxSize {
			return sent, fmt.Errorf("the server takes files of at most %d bytes, and this one has %d", limits.maxSize, file.size)
		}
	}
	// Only now: a file that is refused anyway is not read.
	if sent.digest, err = client.HashFile(ctx, opened, file.size); err != nil {
		return sent, err
	}
	way := plain{s, opened, file, place, sent.digest, exists}
	if exists {
		err := s.Patiently(ctx, "comparing "+file.name, func() (bool, error) { return false, way.same(ctx, existing) })
		if errors.Is(err, errDiffers) || errors.Is(err, errUntold) {
			return sent, way.send(ctx)
		}
		if err == nil {
			err = s.placed(existing)
		}
		if sent.there, sent.published = true, errors.Is(err, errPublished); sent.published {
			err = nil // before this push
		}
		return sent, err
	}
	if resumable && file.size >= limits.minSize {
		return sent, (&resumed{plain: way, limits: limits}).send(ctx)
	}
	return sent, way.send(ctx)
}

// limits asks whether the server offers resumable uploads, and of what size.
func (s *sender) limits(ctx context.Context, place *url.URL) (limits uploadLimits, offered bool, err error) {
	err = s.Patiently(ctx, "asking for limits", func() (bool, error) {
		request, err := s.Request(ctx, http.MethodOptions, place, nil)
		if err != nil {
			return false, err
		}
		request.Header.Set(fieldInterop, interopVersion)
		response, err := s.Answer(request)
		if err != nil && client.Passes(err) {
			return false, err
		}
		if err == nil && response.Header.Get(fieldInterop) == interopVersion {
			limits, offered = limitsOf(response.Header)
		}
		return false, nil
	})
	return limits, offered, err
}

// expect holds that an answer has the status that tells of success. What answers everything
// with 200 has published nothing.
func expect(response *http.Response, status int) error {
	if response.StatusCode == status {
		return nil
	}
	return client.Final(fmt.Sprintf("the server answers %d, where a registry answers %d: nothing tells that it did what was asked; check the URL", response.StatusCode, status))
}

// plain sends a file in one request.
type plain struct {
	*sender
	opened *os.File
	file   local
	place  *url.URL
	digest store.Digest
	// other tells that something else has the name. The server may have computed it, as the
	// checksums of a version, and takes the file then.
	other bool
}

// send sends the file until it is there.
func (p *plain) send(ctx context.Context) error {
	first := true
	return p.Patiently(ctx, p.file.name, func() (bool, error) {
		if !first {
			// The answer may have been lost, and not the request.
			done, err := p.arrived(ctx)
			if computed := p.other && errors.Is(err, errDiffers); (done || err != nil) && !computed {
				return false, err
			}
		}
		first = false
		return false, p.taken(ctx, p.put(ctx))
	})
}

// taken judges the error of an upload: where the name is taken (409, 412), it may be by the
// same bytes, which another client sent, or an earlier request whose answer was lost.
func (p *plain) taken(ctx context.Context, refusal error) error {
	if code := client.Status(refusal); code != http.StatusConflict && code != http.StatusPreconditionFailed {
		return refusal
	}
	if done, err := p.arrived(ctx); done || err != nil {
		return err
	}
	return refusal
}

// arrived tells whether the server has the file by now.
func (p *plain) arrived(ctx context.Context) (bool, error) {
	response, err := p.ask(ctx, p.place)
	if response == nil || err != nil {
		return false, err
	}
	if err := p.same(ctx, response); err != nil {
		return true, err
	}
	return true, p.placed(response)
}

func (p *plain) put(ctx context.Context) error {
	body := p.meter.Reader(p.file.name, io.NewSectionReader(p.opened, 0, p.file.size))
	request, err := p.Request(ctx, http.MethodPut, p.draftOf(p.place), nil)
	if err != nil {
		return err
	}
	p.fill(request, body, p.file.size)
	if err := client.SetDigest(request.Header, p.digest); err != nil {
		return err
	}
	if p.other {
		request.Header.Set("If-None-Match", "*")
	}
	response, err := p.Answer(request)
	if err != nil {
		body.Undo()
		return err
	}
	return p.published(response)
}

// fill gives a request a body, which larger ones send when they are asked for it.
func (s *sender) fill(request *http.Request, body io.Reader, size int64) {
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	if size == 0 {
		request.Body = http.NoBody
		return
	}
	request.Body = io.NopCloser(body)
	if size > 64<<10 {
		request.Header.Set("Expect", "100-continue")
	}
}

// draftOf is where a file goes of a version that is not published yet.
func (s *sender) draftOf(place *url.URL) *url.URL {
	if !s.draft {
		return place
	}
	changed := *place
	changed.RawQuery = "draft"
	return &changed
}

// published judges the answer to the end of an upload.
func (p *plain) published(response *http.Response) error {
	if err := expect(response, http.StatusCreated); err != nil {
		return err
	}
	if p.draft && !isDraft(response) {
		return errNoDrafts
	}
	if got, told := client.DigestOf(response.Header); told && got != p.digest {
		return errDiffers
	}
	return nil
}
