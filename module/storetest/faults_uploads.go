package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// faultUpload is an upload in several requests, and what was acknowledged of it.
type faultUpload struct {
	target  store.Ref
	content string
	id      store.SessionID
	offset  int64 // acknowledged
	ended   bool  // published, refused, or nobody knows
}

// beginUploadStep begins an upload.
func beginUploadStep(target store.Ref, content string) faultStep {
	return faultStep{"begin an upload of " + target.File, func(r *faultRun) error {
		begin := registry.NewUpload{
			Ref: target, Creator: "alice", Length: int64(len(content)), Age: 1000 * 24 * time.Hour, Most: 100, UserMost: 100,
			Announce: func(session store.Session) bool {
				r.uploads[target] = &faultUpload{target: target, content: content, id: session.ID}
				return true
			},
		}
		nothing := registry.Append{Content: registry.Content{Body: strings.NewReader("")}, Length: -1, Interrupt: func() {}}
		_, err := r.BeginUpload(context.Background(), begin, nothing, registry.Limits{})
		return err
	}}
}

// appendStep sends what an upload has up to an end, or all of it.
func appendStep(target store.Ref, end int) faultStep {
	return faultStep{fmt.Sprintf("upload %s up to %d", target.File, end), func(r *faultRun) error {
		upload := r.uploads[target]
		if upload == nil || upload.ended {
			return nil // a fault kept it from beginning
		}
		return r.appendUpload(upload, end)
	}}
}

// appendUpload asks where an upload stands, as a client does, and sends more of it.
func (r *faultRun) appendUpload(upload *faultUpload, end int) error {
	found, err := r.FindUpload(context.Background(), upload.target, upload.id, "alice")
	if err != nil {
		return err
	}
	if err := r.stands(upload, found); err != nil || upload.ended {
		return err
	}
	complete := end == len(upload.content)
	after, err := r.AppendUpload(context.Background(), upload.target, upload.id, "alice", registry.Append{
		Content: registry.Content{Body: strings.NewReader(upload.content[found.Offset:end]), Size: int64(end) - found.Offset},
		Offset:  found.Offset, Complete: complete, Length: -1, Interrupt: func() {},
	}, registry.Limits{})
	if complete && !errors.Is(err, store.ErrNoSpace) && !errors.Is(err, store.ErrUnavailable) && (err == nil || after.Offset == int64(end)) {
		upload.ended = true
		return r.published(upload.target, upload.content, err)
	}
	if err == nil {
		upload.offset = int64(end)
	}
	return err
}

// stands compares what is told of an upload with what was acknowledged.
func (r *faultRun) stands(upload *faultUpload, found registry.Upload) error {
	if found.File != nil {
		upload.ended = true
		return r.published(upload.target, upload.content, nil)
	}
	if found.Offset < upload.offset || found.Offset > int64(len(upload.content)) {
		return fmt.Errorf("the upload of %s stands at %d, after %d were acknowledged", upload.target.File, found.Offset, upload.offset)
	}
	upload.offset = found.Offset // it may not go back any more
	return nil
}

// finishUploads goes on with what is left of uploads, to their ends.
func (r *faultRun) finishUploads() {
	for _, upload := range r.uploads {
		if upload.ended {
			continue
		}
		if err := r.appendUpload(upload, len(upload.content)); err != nil {
			r.violate("going on with an upload of %s that had %d bytes: %v", upload.target.File, upload.offset, err)
		}
	}
}

// uploadedTo returns where the bytes of uploads lie.
func (r *faultRun) uploadedTo() map[store.Locator]bool {
	sessions, err := r.blobs.Sessions(context.Background())
	if err != nil {
		r.violate("reading sessions: %v", err)
	}
	locators := make(map[store.Locator]bool)
	for _, session := range sessions {
		locators[session.Locator] = true
	}
	return locators
}
