package registry

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// hungStores answer one kind of call only when its context ends.
type hungStores struct {
	fakeStores
	call string
}

func (h *hungStores) wait(ctx context.Context, call string) error {
	if call != h.call {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (h *hungStores) Admit(ctx context.Context) error { return h.wait(ctx, "Admit") }

func (h *hungStores) Usage(ctx context.Context, _ string) (store.Usage, error) {
	return store.Usage{}, h.wait(ctx, "Usage")
}

func (h *hungStores) Lookup(ctx context.Context, _ store.Ref) (store.File, error) {
	return store.File{Blob: store.Blob{Locator: "x"}}, h.wait(ctx, "Lookup")
}

func (h *hungStores) Create(ctx context.Context, size int64) (store.BlobWriter, error) {
	return hungWriter{fakeWriter{&h.fakeStores}, h}, h.wait(ctx, "Create")
}

func (h *hungStores) Publish(ctx context.Context, p store.Publication) (store.File, bool, error) {
	if err := h.wait(ctx, "Publish"); err != nil {
		return store.File{}, false, err
	}
	return store.File{}, false, h.publishErr
}

func (h *hungStores) Delete(ctx context.Context, _ store.Locator) error { return h.wait(ctx, "Delete") }

func (h *hungStores) DeleteFile(ctx context.Context, _ store.Ref, _ store.Act) error {
	return h.wait(ctx, "DeleteFile")
}

func (h *hungStores) DeleteVersion(ctx context.Context, _ store.VersionRef, _ store.Act) error {
	return h.wait(ctx, "DeleteVersion")
}

func (h *hungStores) Open(ctx context.Context, _ store.Locator, _ int64) (io.ReadSeekCloser, error) {
	return nil, h.wait(ctx, "Open")
}

type hungWriter struct {
	fakeWriter
	h *hungStores
}

func (w hungWriter) Commit(ctx context.Context) (store.Locator, error) {
	return "own", w.h.wait(ctx, "Commit")
}

// TestNoRequestWaitsForEverForAStore: each call that a request makes has a deadline,
// also when the client waits.
func TestNoRequestWaitsForEverForAStore(t *testing.T) {
	publish := func(r *Registry) error {
		_, err := r.Publish(context.Background(), store.Ref{}, "alice", Content{Body: strings.NewReader("x"), Size: 1}, Limits{Quota: store.Quota{Bytes: 10}})
		return err
	}
	for call, test := range map[string]struct {
		do         func(r *Registry) error
		publishErr error
	}{
		"Usage":   {do: publish},
		"Admit":   {do: publish},
		"Create":  {do: publish},
		"Commit":  {do: publish},
		"Publish": {do: publish},
		"Delete":  {do: publish, publishErr: store.ErrUnavailable},
		"Lookup":  {do: func(r *Registry) error { _, err := r.Lookup(context.Background(), store.Ref{}); return err }},
		"Open":    {do: func(r *Registry) error { _, _, err := r.Open(context.Background(), store.Ref{}); return err }},
		"DeleteFile": {do: func(r *Registry) error {
			return r.DeleteFile(context.Background(), store.Ref{}, store.Act{User: "alice"})
		}},
		"DeleteVersion": {do: func(r *Registry) error {
			return r.DeleteVersion(context.Background(), store.VersionRef{}, store.Act{User: "alice"})
		}},
	} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hungStores{call: call}
				h.publishErr = test.publishErr
				r := New(h, h, Options{Idle: true})
				began := time.Now()
				err := test.do(r)
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != waiting.Timeout {
					t.Errorf("it ends after %v: %v; want after %v", took, err, waiting.Timeout)
				}
				if call == "Publish" && len(h.removed) > 0 {
					t.Error("the bytes of a publish of unknown outcome are deleted")
				}
			})
		})
	}
}

// TestACommitHasTimeForItsBytes.
func TestACommitHasTimeForItsBytes(t *testing.T) {
	for size, want := range map[int64]time.Duration{0: waiting.Timeout, 10 << 20: waiting.Timeout + 10*time.Second, 1 << 40: waiting.Timeout + (1<<20)*time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := waiting.Committing(t.Context(), size)
			defer cancel()
			if at, _ := ctx.Deadline(); time.Until(at) != want {
				t.Errorf("%d bytes have %v, want %v", size, time.Until(at), want)
			}
		})
	}
}

// TestAChangeThatHasBegunIsFinished although its client is gone.
func TestAChangeThatHasBegunIsFinished(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ctx, end := waiting.Finishing(gone)
	defer end()
	if ctx.Err() != nil {
		t.Errorf("the change depends on the client: %v", ctx.Err())
	}
}

// deafSessions answers nobody who asks for sessions, also when the context ends, until it
// is told to.
type deafSessions struct {
	fakeStores
	asked, answer chan struct{}
}

func (d *deafSessions) Sessions(context.Context) ([]store.Session, error) {
	close(d.asked) // twice would panic
	<-d.answer
	return nil, nil
}

// TestASlowDiskHoldsNobodyWhoseContextEnds: who comes while uploads are read waits for that
// as long as its own context lasts.
// Seen to hang with the sessions read under the lock of the uploads.
func TestASlowDiskHoldsNobodyWhoseContextEnds(t *testing.T) {
	d := &deafSessions{asked: make(chan struct{}), answer: make(chan struct{})}
	r := New(d, d, Options{Idle: true})
	first := make(chan error)
	go func() {
		_, err := r.EndExpired(context.Background())
		first <- err
	}()
	<-d.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.FindUpload(ctx, store.Ref{}, store.NewSessionID(), "alice"); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want %v and %v", err, store.ErrUnavailable, context.Canceled)
	}
	close(d.answer)
	if err := <-first; err != nil {
		t.Errorf("who read them: %v", err)
	}
	if _, err := r.FindUpload(t.Context(), store.Ref{}, store.NewSessionID(), "alice"); !errors.Is(err, store.ErrSessionNotFound) {
		t.Errorf("afterwards: error is %v, want %v", err, store.ErrSessionNotFound)
	}
}
