package push

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
)

// resumed sends a file in requests of which none begins anew what has arrived.
type resumed struct {
	plain
	limits uploadLimits

	upload *url.URL // nil before it has begun
	offset int64    // that the server has
	sure   bool     // of the offset
}

// begins bounds how often an upload begins anew that the server has forgotten.
const begins = 3

var errForgotten = client.Final("the server has forgotten the upload several times")

// send sends the file until it is there.
func (r *resumed) send(ctx context.Context) error {
	begun := 0
	err := r.Patiently(ctx, r.file.name, func() (forward bool, err error) {
		before := r.offset
		for {
			if r.upload == nil {
				if begun == begins {
					return false, errForgotten
				}
				if err := r.begin(ctx); err != nil {
					return false, r.taken(ctx, err)
				}
				begun++
			}
			done, err := r.step(ctx)
			switch {
			case done:
				return true, err
			case client.Status(err) == http.StatusNotFound:
				// Published, and the answer was lost; or expired, and to begin anew.
				if done, err := r.arrived(ctx); done || err != nil {
					return false, err
				}
				r.Stand(0)
				r.upload = nil
			case err != nil:
				r.sure = false
				return r.offset > before, err
			}
		}
	})
	if err != nil && r.upload != nil && !client.Passes(err) {
		r.cancel(ctx)
	}
	return err
}

// begin asks for an upload, and sends nothing of the file yet: its URL would be lost with
// a cut, and some proxies drop the answer that tells it sooner.
func (r *resumed) begin(ctx context.Context) error {
	request, err := r.Request(ctx, http.MethodPut, r.draftOf(r.place), http.NoBody)
	if err != nil {
		return err
	}
	r.speak(request, false)
	request.Header.Set("Content-Length", "0")
	request.Header.Set(fieldLength, strconv.FormatInt(r.file.size, 10))
	if err := client.SetDigest(request.Header, r.digest); err != nil {
		return err
	}
	response, err := r.Answer(request)
	if err == nil {
		err = expect(response, http.StatusCreated)
	}
	if err != nil {
		return err
	}
	location, err := url.Parse(response.Header.Get("Location"))
	if err != nil || response.Header.Get("Location") == "" {
		return client.Final("the server has resumable uploads, but does not say the path of this upload")
	}
	upload := r.place.ResolveReference(location)
	if upload.Host != r.place.Host || upload.Scheme != r.place.Scheme {
		// Where a proxy is not trusted, the server knows another name of itself.
		upload.Host, upload.Scheme = r.place.Host, r.place.Scheme
	}
	if limits, told := limitsOf(response.Header); told {
		r.limits = limits
	}
	r.upload, r.sure = upload, true
	r.Stand(0)
	return nil
}

// speak says which protocol a request is of, and whether it is the last one.
func (r *resumed) speak(request *http.Request, complete bool) {
	request.Header.Set(fieldInterop, interopVersion)
	value := "?0"
	if complete {
		value = "?1"
	}
	request.Header.Set(fieldComplete, value)
}

// step asks where the upload stands if that is not sure, and sends what comes next. Done
// is true once the answer is the file's.
func (r *resumed) step(ctx context.Context) (done bool, err error) {
	if !r.sure {
		if done, err := r.Ask(ctx); done || err != nil {
			return done, err
		}
	}
	size := r.file.size - r.offset
	if r.limits.maxAppend > 0 {
		size = min(size, r.limits.maxAppend)
	}
	complete := r.offset+size == r.file.size
	body := r.meter.Reader(r.file.name, io.NewSectionReader(r.opened, r.offset, size))
	request, err := r.Request(ctx, http.MethodPatch, r.upload, nil)
	if err != nil {
		return false, err
	}
	r.fill(request, body, size)
	r.speak(request, complete)
	request.Header.Set("Content-Type", partialUpload)
	request.Header.Set(fieldOffset, strconv.FormatInt(r.offset, 10))
	response, err := r.Do(request)
	if err != nil {
		body.Undo()
		return false, err
	}
	defer client.Finish(response)
	if response.StatusCode >= 400 {
		body.Undo()
		return r.refused(ctx, response)
	}
	r.offset += size
	if complete {
		return true, r.published(response)
	}
	return false, nil
}

// refused judges the refusal of a step. The server may stand elsewhere, and the file may be
// there.
func (r *resumed) refused(ctx context.Context, response *http.Response) (done bool, err error) {
	ended := booleanOf(response.Header, fieldComplete)
	offset, told := integerOf(response.Header, fieldOffset)
	if response.StatusCode == http.StatusConflict && !ended && told && offset != r.offset && offset <= r.file.size {
		r.Stand(offset)
		return false, nil
	}
	err = r.taken(ctx, client.RefusedBy(response))
	return ended || err == nil, err
}

// Ask asks where the upload stands.
func (r *resumed) Ask(ctx context.Context) (done bool, err error) {
	request, err := r.Request(ctx, http.MethodHead, r.upload, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set(fieldInterop, interopVersion)
	response, err := r.Answer(request)
	if err != nil {
		return false, err
	}
	if booleanOf(response.Header, fieldComplete) {
		return r.arrived(ctx)
	}
	offset, told := integerOf(response.Header, fieldOffset)
	if !told || offset > r.file.size {
		return false, fmt.Errorf("the server does not say the offset of the upload")
	}
	r.Stand(offset)
	r.sure = true
	return false, nil
}

// Stand takes an offset from the server.
func (r *resumed) Stand(offset int64) {
	r.offset = offset
	r.meter.Stand(r.file.name, offset)
}

// cancel gives up an upload that will not go on. It expires in any case.
func (r *resumed) cancel(ctx context.Context) {
	request, err := r.Request(context.WithoutCancel(ctx), http.MethodDelete, r.upload, nil)
	if err != nil {
		return
	}
	request.Header.Set(fieldInterop, interopVersion)
	_, _ = r.Answer(request)
}
