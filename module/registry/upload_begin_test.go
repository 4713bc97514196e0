package registry_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// refusedBody is an error that says of itself that it refuses a request.
type refusedBody struct{}

func (refusedBody) Error() string { return "no such body" }
func (refusedBody) Refuses()      {}

// TestABeginThatIsRefusedLeavesNoUpload: its client cannot go on with an upload that it does not
// know, and would soon have as many as it may. A begin without bytes needs no slot.
//
// Seen to fail with slots that are asked for only once the upload has begun, and with an upload
// that stays when its first request was refused, each case for itself.
func TestABeginThatIsRefusedLeavesNoUpload(t *testing.T) {
	other := store.Digest{1}
	for _, test := range []struct {
		name                string
		change              func(a *registry.Append)
		busy, busyMeanwhile bool // all slots are taken
		want                error
		announced, stays    bool
	}{
		{"no bytes while all slots are taken", func(a *registry.Append) { a.Body, a.Size = strings.NewReader(""), 0 }, true, false, nil, true, true},
		{"bytes while all slots are taken", func(*registry.Append) {}, true, false, store.ErrBusy, false, false},
		{"bytes of which nobody knows how many, while all slots are taken", func(a *registry.Append) { a.Size = -1 }, true, false, store.ErrBusy, false, false},
		{"bytes, and the slots are taken before they come", func(*registry.Append) {}, false, true, store.ErrBusy, true, false},
		{"another length", func(a *registry.Append) { a.Length = 6 }, false, false, store.ErrLength, true, false},
		{"a digest that the bytes do not have", func(a *registry.Append) { a.SHA256 = &other }, false, false, store.ErrDigest, true, false},
		{"a quota that is reached", func(a *registry.Append) { a.Body = iotest.ErrReader(store.ErrQuotaBytes) }, false, false, store.ErrQuotaBytes, true, false},
		{"a body that its reader refuses", func(a *registry.Append) { a.Body = iotest.ErrReader(refusedBody{}) }, false, false, refusedBody{}, true, false},
		{"a connection that is cut", func(a *registry.Append) { a.Body = iotest.ErrReader(errCut) }, false, false, errCut, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newUploadFixture(t)
			limits := registry.Limits{UserUploads: 1}
			hold := func() {
				body, release, err := f.Admit("alice", limits, registry.Content{Body: strings.NewReader("x"), Size: 1})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(release)
				if _, err := io.ReadAll(body); err != nil {
					t.Fatal(err)
				}
			}
			if test.busy {
				hold()
			}
			request := registry.Append{Content: registry.Content{Body: strings.NewReader("bytes"), Size: 5}, Length: -1, Interrupt: func() {}}
			test.change(&request)
			announced := false
			begun, err := f.BeginUpload(context.Background(), registry.NewUpload{
				Ref: uploadRef, Creator: "alice", Length: 5, Age: time.Hour, Most: 1, UserMost: 1,
				Announce: func(store.Session) bool {
					announced = true
					if test.busyMeanwhile {
						hold()
					}
					return true
				},
			}, request, limits)
			if !errors.Is(err, test.want) || announced != test.announced || (begun.ID != "") != test.stays {
				t.Errorf("the upload is %q, announced %v, error is %v; want one %v, announced %v, %v", begun.ID, announced, err, test.stays, test.announced, test.want)
			}
			if test.stays {
				f.wantOffset(begun.ID, 0)
				return
			}
			if open := f.Health().Uploads.Sessions; open != 0 {
				t.Errorf("%d uploads are open, want none", open)
			}
			f.wantGone(begun.ID)
			f.wantBlobs(0)
		})
	}
}

// failingBlobs take no bytes of uploads, and may not end uploads either.
type failingBlobs struct {
	store.BlobStore
	heals, ends bool
}

func (f *failingBlobs) ContinueSession(ctx context.Context, session store.Session) (store.SessionWriter, error) {
	if !f.heals {
		return nil, store.ErrUnavailable
	}
	return f.BlobStore.ContinueSession(ctx, session)
}

func (f *failingBlobs) EndSession(ctx context.Context, id store.SessionID) error {
	if !f.ends {
		return store.ErrUnavailable
	}
	return f.BlobStore.EndSession(ctx, id)
}

// TestABeginThatFailsLeavesNoUpload whose client has not heard of it: where the store does not
// end it at once, it ends when the store does. A client that has heard goes on with it.
// Seen to fail with an upload that stays after any fault, and with one that stays until its age
// is over when it cannot be ended at once.
func TestABeginThatFailsLeavesNoUpload(t *testing.T) {
	for _, told := range []bool{false, true} {
		for _, ends := range []bool{false, true} {
			f := newUploadFixture(t)
			blobs := &failingBlobs{ends: ends}
			f.wrapBlobs = func(inner store.BlobStore) store.BlobStore { blobs.BlobStore = inner; return blobs }
			f.reopen()
			begun, err := f.BeginUpload(t.Context(), registry.NewUpload{
				Ref: uploadRef, Creator: "alice", Length: 5, Age: time.Hour, Most: 1, UserMost: 1,
				Announce: func(store.Session) bool { return told },
			}, registry.Append{Content: registry.Content{Body: strings.NewReader("")}, Length: -1, Interrupt: func() {}}, f.limits)
			if !errors.Is(err, store.ErrUnavailable) || (begun.ID != "") != told {
				t.Errorf("told %v: the upload is %q, error is %v", told, begun.ID, err)
			}
			blobs.heals, blobs.ends = true, true
			want := 0
			if !told && !ends {
				want = 1
			}
			if ended, err := f.EndExpired(t.Context()); ended != want || err != nil {
				t.Errorf("told %v, ended at once %v: %d uploads end later, want %d: %v", told, ends, ended, want, err)
			}
			if told {
				f.wantOffset(begun.ID, 0)
				continue
			}
			if open := f.Health().Uploads.Sessions; open != 0 {
				t.Errorf("%d uploads are open, want none", open)
			}
			f.wantBlobs(0)
		}
	}
}
