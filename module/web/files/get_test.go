package files

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// movingBlobs run something before bytes are opened the first time.
type movingBlobs struct {
	store.BlobStore
	once   sync.Once
	before func()
}

func (b *movingBlobs) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	b.once.Do(b.before)
	return b.BlobStore.Open(ctx, locator, size)
}

// TestWhatHappensBetweenLookingAndOpening: a client gets what is true when its bytes are
// opened, and no header line of what was true before.
// Seen to fail without Restart, and with Open that follows the name to other bytes.
func TestWhatHappensBetweenLookingAndOpening(t *testing.T) {
	const before, ranges = "all of a long file", "bytes=4-11"
	for _, test := range []struct {
		name, ranges, after string
		status              int
		body, contentRange  string
		republish           bool
	}{
		{name: "nothing", after: before, republish: true, status: 200, body: before},
		{name: "the same bytes elsewhere, of which a part is wanted", ranges: ranges, after: before, republish: true, status: 206, body: "of a lon", contentRange: "bytes 4-11/18"},
		{name: "it is deleted", ranges: ranges, status: 404, body: store.ErrPackageNotFound.Error()},
		{name: "it is replaced", after: "short", republish: true, status: 200, body: "short"},
		{name: "it is replaced by one without the part", ranges: "bytes=7-", after: "short", republish: true, status: 416, body: "invalid range: failed to overlap\n", contentRange: "bytes */5"},
		{name: "it is replaced by an empty one, of which ranges do not count", ranges: "bytes=0-0", after: "", republish: true, status: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			metadata, err := memory.NewMetadata().Open()
			if err != nil {
				t.Fatal(err)
			}
			blobs := new(movingBlobs)
			if blobs.BlobStore, err = memory.NewBlobs().Open(); err != nil {
				t.Fatal(err)
			}
			reg := registry.New(metadata, blobs, registry.Options{ScrubRate: -1})
			t.Cleanup(func() {
				if err := reg.Close(); err != nil {
					t.Error(err)
				}
			})
			ref := refOf("o", "p", "1", "f")
			publish := func(content string) error {
				_, err := reg.Publish(t.Context(), ref, "o", registry.Content{Body: strings.NewReader(content), Size: int64(len(content))}, registry.Limits{})
				return err
			}
			if err := publish(before); err != nil {
				t.Fatal(err)
			}
			blobs.before = func() {
				err := reg.DeleteFile(t.Context(), ref, store.Act{User: "o"})
				_, reapErr := reg.Reap(t.Context())
				if test.republish {
					err = errors.Join(err, publish(test.after))
				}
				if err := errors.Join(err, reapErr); err != nil {
					t.Error(err)
				}
			}
			w := serve(t, reg, test.ranges)
			if w.Code != test.status || w.Body.String() != test.body || w.Header().Get("Content-Range") != test.contentRange {
				t.Errorf("got %d %q %v, want %d %q, Content-Range %q", w.Code, w.Body, w.Header(), test.status, test.body, test.contentRange)
			}
			if w.Code == http.StatusNotFound && w.Header().Get("Content-Disposition") != "" {
				t.Errorf("a 404 has the headers of a download: %v", w.Header())
			}
		})
	}
}

// serve answers a GET of a file in a registry.
func serve(t *testing.T, reg *registry.Registry, ranges string) *httptest.ResponseRecorder {
	t.Helper()
	rules, err := access.Compile(nil, nil, access.Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	site := &visit.Site{
		Rules: rules, CrossSite: http.NewCrossOriginProtection(), Log: zap.NewNop(), Audit: zap.NewNop(),
		Use: func(_ context.Context, do func(*registry.Registry) error) error { return do(reg) },
	}
	r := httptest.NewRequest(http.MethodGet, "/o/generic/p/1/f", bytes.NewReader(nil))
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	w := httptest.NewRecorder()
	site.Serve(w, r, visit.ParsePath(r.URL.EscapedPath()), new(Files))
	return w
}
