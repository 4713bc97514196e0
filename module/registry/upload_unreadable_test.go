package registry_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// unreadable are blobs of which no session can be read while err is set.
type unreadable struct {
	store.BlobStore
	err error
}

func (u *unreadable) FindSession(ctx context.Context, id store.SessionID) (store.Session, error) {
	if u.err != nil {
		return store.Session{}, u.err
	}
	return u.BlobStore.FindSession(ctx, id)
}

func (u *unreadable) Sessions(ctx context.Context) (sessions []store.Session, err error) {
	sessions, err = u.BlobStore.Sessions(ctx)
	for i := range sessions {
		if u.err != nil {
			sessions[i] = store.Session{ID: sessions[i].ID}
		}
	}
	return sessions, err
}

// TestAnUploadThatCouldNotBeReadAtStart goes on once the disk reads its session, and nothing is
// swept before that.
// Seen to fail with an upload that ends as one that has expired, with one that is not found
// until expired ones are ended, and with a sweep that goes on without its bytes.
func TestAnUploadThatCouldNotBeReadAtStart(t *testing.T) {
	ctx := context.Background()
	for name, again := range map[string]func(*uploadFixture){
		"and expired ones are ended": func(f *uploadFixture) {
			if _, err := f.EndExpired(ctx); err != nil {
				f.Error(err)
			}
		},
		"and its client asks": func(*uploadFixture) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newUploadFixture(t)
			id := f.begin(-1)
			if _, err := f.send(id, 0, []byte("content"), false); err != nil {
				t.Fatal(err)
			}
			blobs := &unreadable{err: syscall.EIO}
			f.wrapBlobs = func(opened store.BlobStore) store.BlobStore {
				blobs.BlobStore = opened
				return blobs
			}
			f.reopen()
			_, expired := f.EndExpired(ctx)
			_, asked := f.FindUpload(ctx, uploadRef, id, "alice")
			for what, err := range map[string]error{"ending expired ones": expired, "asking": asked} {
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: error is %v, want %v", what, err, syscall.EIO)
				}
			}
			if _, err := f.Sweep(ctx); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a sweep: error is %v, want %v", err, store.ErrUnavailable)
			}
			blobs.err = nil
			again(f)
			f.wantOffset(id, 7)
			if found, err := f.send(id, 7, nil, true); err != nil || found.File == nil {
				t.Errorf("the last request: %+v, %v", found, err)
			}
			f.wantFile([]byte("content"))
		})
	}
}

// TestADamagedSession ends its upload, which nobody can go on with.
// Seen to fail with a session that stays as one that cannot be read.
func TestADamagedSession(t *testing.T) {
	f := newUploadFixture(t)
	id := f.begin(-1)
	f.wrapBlobs = func(opened store.BlobStore) store.BlobStore { return &unreadable{opened, store.ErrDamaged} }
	f.reopen()
	if ended, err := f.EndExpired(context.Background()); ended != 1 || err != nil {
		t.Errorf("%d have ended, %v; want 1", ended, err)
	}
	f.wantGone(id)
}
