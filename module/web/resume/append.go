package resume

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// begin begins an upload, and receives what of it comes with this request.
func (e *exchange) begin() error {
	r, v := e.r, e.v
	complete, _ := booleanField(r.Header, fieldComplete)
	if err := v.May(grant.Write, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if err := e.Files.CheckNames(v.About); err != nil {
		return err
	}
	sums, err := receive.SHA256(r.Header)
	if err != nil {
		return err
	}
	draft, err := e.Files.AsksForDraft(r)
	if err != nil {
		return err
	}
	if complete && r.Method == http.MethodPut && (e.isOneRequest() || sums.Others) {
		return e.Files.Serve(e.w, r, v)
	}
	if err := e.checkBegin(sums, complete); err != nil {
		return err
	}
	length, err := lengthOf(r, complete)
	if err != nil {
		return e.refuse(registry.Upload{}, err)
	}
	if largest := e.Files.Upload.FileSize; largest > 0 && length > largest {
		return e.tooLarge(fmt.Sprintf("file too large: max_file_size is %d bytes", largest))
	}
	limits := e.Files.LimitsOf(v, draft)
	return v.Use(func(reg *registry.Registry) error {
		existing, err := files.CheckDuplicate(r, reg, v, limits, receive.Claim{SHA256: sums.Stored, Size: length})
		if err != nil {
			return err
		}
		limits.Current = files.Current(r, existing)
		begin := registry.NewUpload{
			Ref: v.About, Creator: v.User(), Length: length, SHA256: sums.Stored, Age: e.Age, Most: e.Most, UserMost: e.UserMost,
			Announce: func(session store.Session) bool { return e.announce(session, reg.Now()) },
		}
		body, done := e.body(0, complete)
		defer done()
		request := registry.Append{
			Content:  registry.Content{Body: body, Size: r.ContentLength, SHA256: sums.Body},
			Complete: complete, Length: length,
		}
		return e.receive(reg, request, func(request registry.Append) (registry.Upload, error) {
			return reg.BeginUpload(r.Context(), begin, request, limits)
		})
	})
}

// isOneRequest tells whether a request that has all of a file gains nothing as an upload.
func (e *exchange) isOneRequest() bool {
	return e.r.ContentLength >= 0 && e.r.ContentLength <= worthwhile || receive.IsForm(e.r)
}

// checkBegin judges what a request says of the bytes that are to come.
func (e *exchange) checkBegin(sums receive.Sums, complete bool) error {
	if err := receive.CheckPart(e.r); err != nil {
		return err
	}
	if receive.IsForm(e.r) {
		return errForm
	}
	if sums.Others {
		return errOtherSums
	}
	if !complete && e.MaxAppend > 0 && e.r.ContentLength > e.MaxAppend {
		return e.tooLarge(e.appendText())
	}
	return nil
}

// lengthOf returns how many bytes the file of a request will have, -1 when it does not say.
func lengthOf(r *http.Request, complete bool) (int64, error) {
	length, said := integerField(r.Header, fieldLength)
	if !said {
		length = -1
	}
	if !complete || r.ContentLength < 0 {
		return length, nil
	}
	if said && length != r.ContentLength {
		return 0, fmt.Errorf("%w: %d bytes, and %d come", store.ErrLength, length, r.ContentLength)
	}
	return r.ContentLength, nil
}

// locationOf returns where an upload is: at the URL of the file, as the client sent it.
func locationOf(r *http.Request, id store.SessionID) string {
	return "/" + strings.TrimLeft(visit.OriginalPath(r), "/") + "?" + url.Values{"upload": {string(id)}}.Encode()
}

// announce tells where the upload is while its bytes are still coming. A request without
// bytes hears it from the answer; HTTP/1.0 knows no interim answers.
func (e *exchange) announce(session store.Session, now time.Time) (told bool) {
	w, r := e.w, e.r
	if r.ContentLength == 0 || !r.ProtoAtLeast(1, 1) {
		return false
	}
	header := w.Header()
	header.Set("Location", locationOf(r, session.ID))
	header.Set(fieldInterop, r.Header.Get(fieldInterop))
	e.setLimits(header, session.Expires.Sub(now))
	w.WriteHeader(statusResumption)
	for _, name := range []string{"Location", fieldInterop, fieldLimit} {
		header.Del(name)
	}
	return true
}

// checkConditions evaluates the conditions of a request to an upload, which has no entity tag
// and no date (RFC 9110 section 13.1). Those of the file are of the request that began.
func (e *exchange) checkConditions() error {
	return send.CheckConditions(e.r.Header, false, store.File{})
}

// append goes on with an upload.
func (e *exchange) append(id store.SessionID) error {
	r, v := e.r, e.v
	if err := v.May(grant.Write, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != partialUpload {
		return errContentType
	}
	if err := receive.CheckPart(r); err != nil {
		return err
	}
	if err := e.checkConditions(); err != nil {
		return err
	}
	complete, saidComplete := booleanField(r.Header, fieldComplete)
	offset, saidOffset := integerField(r.Header, fieldOffset)
	if !saidComplete || !saidOffset {
		return errFields
	}
	if e.MaxAppend > 0 && r.ContentLength > e.MaxAppend {
		return e.tooLarge(e.appendText())
	}
	sums, err := receive.SHA256(r.Header)
	if err != nil {
		return err
	}
	if sums.Others {
		return errOtherSums
	}
	length, said := integerField(r.Header, fieldLength)
	if !said {
		length = -1
	}
	return v.Use(func(reg *registry.Registry) error {
		body, done := e.body(offset, false)
		defer done()
		request := registry.Append{
			Content: registry.Content{Body: body, Size: r.ContentLength, SHA256: sums.Body},
			Stored:  sums.Stored, Offset: offset, Complete: complete, Length: length,
		}
		return e.receive(reg, request, func(request registry.Append) (registry.Upload, error) {
			return reg.AppendUpload(r.Context(), v.About, id, v.User(), request, e.Files.LimitsOf(v, false)) // the upload knows whether it is for a draft
		})
	})
}

// receive gives what a request brings to an upload, and answers.
func (e *exchange) receive(reg *registry.Registry, request registry.Append, give func(registry.Append) (registry.Upload, error)) error {
	w, r, v := e.w, e.r, e.v
	control := http.NewResponseController(w)
	var overtaken atomic.Bool
	before, err := files.FindDuplicate(r, reg, v.About, e.Files.LimitsOf(v, false))
	if err != nil {
		return err
	}
	request.CompleteAtLength = interopOf(r) == interopEarlier && r.ContentLength > 0
	request.Interrupt = func() {
		overtaken.Store(true)
		_ = control.SetReadDeadline(time.Now()) // a writer that takes no deadline ends with the client
	}
	upload, err := give(request)
	if err != nil && overtaken.Load() {
		err = errors.Join(store.ErrOvertaken, err)
	}
	if err != nil {
		return e.refuse(upload, err)
	}
	header := w.Header()
	e.stand(upload, reg.Now())
	switch {
	case upload.File != nil:
		if upload.Repeated {
			before = upload.File
		}
		v.Published(*upload.File, before)
		send.SetValidators(header, upload.File.Digest)
		if upload.Draft {
			v.Untold()
			files.SayDraft(header)
		}
		if upload.Repeated { // and its client may be sending the bytes
			visit.AnswerUnread(w, r, http.StatusCreated)
			return nil
		}
		header.Set("Content-Length", "0")
		w.WriteHeader(http.StatusCreated)
	case r.Method != http.MethodPatch:
		v.Answered(http.StatusCreated)
		header.Set("Location", locationOf(r, upload.ID))
		header.Set("Content-Length", "0")
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}
