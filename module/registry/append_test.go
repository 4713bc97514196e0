package registry_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// uploadFixture is a registry in memory, with a clock of its own.
type uploadFixture struct {
	testing.TB
	*registry.Registry
	metadata  *memory.Metadata
	blobs     *memory.Blobs
	now       time.Time
	limits    registry.Limits
	wrap      func(store.MetadataStore) store.MetadataStore // what is opened
	wrapBlobs func(store.BlobStore) store.BlobStore         // the same
}

func newUploadFixture(t testing.TB) *uploadFixture {
	f := &uploadFixture{TB: t, metadata: memory.NewMetadata(), blobs: memory.NewBlobs(), now: time.Unix(1_000_000_000, 0)}
	f.open()
	t.Cleanup(func() {
		if err := f.Registry.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *uploadFixture) open() {
	f.Helper()
	metadata, err := f.metadata.Open()
	if err != nil {
		f.Fatal(err)
	}
	blobs, err := f.blobs.Open()
	if err != nil {
		f.Fatal(err)
	}
	if f.wrap != nil {
		metadata = f.wrap(metadata)
	}
	if f.wrapBlobs != nil {
		blobs = f.wrapBlobs(blobs)
	}
	f.Registry = registry.New(metadata, blobs, registry.Options{Now: func() time.Time { return f.now }, Idle: true})
}

func (f *uploadFixture) reopen() {
	f.Helper()
	if err := f.Registry.Close(); err != nil {
		f.Fatal(err)
	}
	f.open()
}

var uploadRef = store.Ref{VersionRef: store.VersionRef{Owner: "Alice", Package: "p", Version: "1"}, File: "f"}

func (f *uploadFixture) begin(length int64) store.SessionID {
	f.Helper()
	return f.beginAs(registry.NewUpload{Length: length, Age: time.Hour, Most: 2, UserMost: 2})
}

// beginAs begins an upload of alice's without bytes.
func (f *uploadFixture) beginAs(begin registry.NewUpload) store.SessionID {
	f.Helper()
	begun, err := f.tryBegin(begin)
	if err != nil {
		f.Fatal(err)
	}
	return begun.ID
}

func (f *uploadFixture) tryBegin(begin registry.NewUpload) (registry.Upload, error) {
	begin.Ref, begin.Creator, begin.Announce = uploadRef, cmp.Or(begin.Creator, "alice"), func(store.Session) bool { return true }
	nothing := registry.Append{Content: registry.Content{Body: strings.NewReader("")}, Length: -1, Interrupt: func() {}}
	return f.BeginUpload(context.Background(), begin, nothing, f.limits)
}

// send appends content, of which the client says where it begins.
func (f *uploadFixture) send(id store.SessionID, offset int64, content []byte, complete bool) (registry.Upload, error) {
	return f.sendBody(id, offset, bytes.NewReader(content), int64(len(content)), complete)
}

func (f *uploadFixture) sendBody(id store.SessionID, offset int64, body io.Reader, size int64, complete bool) (registry.Upload, error) {
	return f.AppendUpload(context.Background(), uploadRef, id, "alice", registry.Append{
		Content: registry.Content{Body: body, Size: size}, Offset: offset, Complete: complete, Length: -1, Interrupt: func() {},
	}, f.limits)
}

func (f *uploadFixture) wantOffset(id store.SessionID, want int64) {
	f.Helper()
	found, err := f.FindUpload(context.Background(), uploadRef, id, "alice")
	if err != nil || found.Offset != want {
		f.Fatalf("the upload stands at %d, %v; want %d", found.Offset, err, want)
	}
}

func (f *uploadFixture) wantGone(id store.SessionID) {
	f.Helper()
	if _, err := f.FindUpload(context.Background(), uploadRef, id, "alice"); !errors.Is(err, store.ErrSessionNotFound) {
		f.Fatalf("the upload is there still: %v", err)
	}
	sessions, err := f.Blobs().Sessions(context.Background())
	if err != nil || len(sessions) != 0 {
		f.Fatalf("%d sessions are left, %v", len(sessions), err)
	}
}

func (f *uploadFixture) wantBlobs(want int) {
	f.Helper()
	got := 0
	err := f.Blobs().Walk(context.Background(), func(store.Locator, int64, time.Time) error { got++; return nil })
	if err != nil || got != want {
		f.Fatalf("%d blobs are left, %v; want %d", got, err, want)
	}
}

func (f *uploadFixture) wantFile(want []byte) {
	f.Helper()
	file, reader, err := f.Open(context.Background(), uploadRef)
	if err != nil {
		f.Fatal(err)
	}
	defer reader.Close()
	got, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(got, want) || file.Digest != sha256.Sum256(want) || file.Creator != "alice" {
		f.Fatalf("%d bytes of %s, %v; want %d", len(got), file.Digest, err, len(want))
	}
}

var errCut = errors.New("cut")

// TestAnUploadIsCutAtRandomOffsets and goes on each time, in the same process or another.
// Seen to fail with a hash that begins anew with each request, and with an offset that
// counts what was written and not saved.
func TestAnUploadIsCutAtRandomOffsets(t *testing.T) {
	f := newUploadFixture(t)
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 20<<20) // more than one step
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	id := f.begin(int64(len(content)))
	var offset int64
	for cuts := 0; cuts < 30; cuts++ {
		comes := random.Int64N(int64(len(content)) - offset)
		if cuts%3 != 0 {
			comes = min(comes, random.Int64N(300_000))
		}
		body := io.MultiReader(bytes.NewReader(content[offset:offset+comes]), iotest.ErrReader(errCut))
		if cuts%2 == 0 {
			body = iotest.DataErrReader(body)
		}
		found, err := f.sendBody(id, offset, body, int64(len(content))-offset, true)
		if !errors.Is(err, errCut) || found.Offset != offset+comes {
			t.Fatalf("cut after %d bytes: the upload stands at %d, %v", offset+comes, found.Offset, err)
		}
		offset += comes
		if cuts%4 == 0 {
			f.reopen()
		}
		f.wantOffset(id, offset)
	}
	found, err := f.send(id, offset, content[offset:], true)
	if err != nil || found.File == nil || found.File.Digest != sha256.Sum256(content) {
		t.Fatalf("the last request: %+v, %v", found, err)
	}
	f.wantFile(content)
	f.wantBlobs(1)
	// The answer was lost, and the client asks again.
	again, err := f.send(id, int64(len(content)), nil, true)
	if err != nil || again.File == nil || again.File.Digest != found.File.Digest {
		t.Fatalf("the last request again: %+v, %v", again, err)
	}
	if _, err := f.send(id, int64(len(content)), []byte("x"), true); !errors.Is(err, store.ErrEnded) {
		t.Fatalf("more bytes after the end: %v", err)
	}
}

func TestRequestsThatDoNotGoOn(t *testing.T) {
	f := newUploadFixture(t)
	whole := store.Digest(sha256.Sum256([]byte("0123456789")))
	id := f.beginAs(registry.NewUpload{Length: 10, SHA256: &whole, Age: time.Hour, Most: 1, UserMost: 1})
	if _, err := f.send(id, 0, []byte("01234"), false); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	digest := store.Digest(sha256.Sum256([]byte("56789")))
	request := func(change func(a *registry.Append)) registry.Append {
		a := registry.Append{Content: registry.Content{Body: bytes.NewReader([]byte("x6789")), Size: 5}, Offset: 5, Length: -1, Interrupt: func() {}}
		change(&a)
		return a
	}
	other := uploadRef
	other.File = "g"
	for _, test := range []struct {
		name    string
		ref     store.Ref
		user    string
		id      store.SessionID
		request registry.Append
		want    error
	}{
		{"an offset behind", uploadRef, "alice", id, request(func(a *registry.Append) { a.Offset = 4 }), store.ErrOffset},
		{"an offset ahead", uploadRef, "alice", id, request(func(a *registry.Append) { a.Offset = 6 }), store.ErrOffset},
		{"another length", uploadRef, "alice", id, request(func(a *registry.Append) { a.Length = 11 }), store.ErrLength},
		{"an end too soon", uploadRef, "alice", id, request(func(a *registry.Append) { a.Complete, a.Size = true, 4 }), store.ErrLength},
		{"more bytes than the length", uploadRef, "alice", id, request(func(a *registry.Append) { a.Size = 6 }), store.ErrLength},
		{"another user", uploadRef, "bob", id, request(func(*registry.Append) {}), store.ErrSessionNotFound},
		{"nobody", uploadRef, "", id, request(func(*registry.Append) {}), store.ErrSessionNotFound},
		{"another file", other, "alice", id, request(func(*registry.Append) {}), store.ErrSessionNotFound},
		{"another upload", uploadRef, "alice", store.NewSessionID(), request(func(*registry.Append) {}), store.ErrSessionNotFound},
		{"another digest of the file", uploadRef, "alice", id, request(func(a *registry.Append) { a.Stored = &digest }), store.ErrDigest},
		{"a digest that the bytes do not have", uploadRef, "alice", id, request(func(a *registry.Append) { a.SHA256 = &digest }), store.ErrDigest},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := f.AppendUpload(ctx, test.ref, test.id, test.user, test.request, registry.Limits{})
			if !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			f.wantOffset(id, 5)
		})
	}
	if err := f.CancelUpload(ctx, uploadRef, id, "bob"); !errors.Is(err, store.ErrSessionNotFound) {
		t.Errorf("another user cancels: %v", err)
	}
	if _, err := f.FindUpload(ctx, uploadRef, id, "bob"); !errors.Is(err, store.ErrSessionNotFound) {
		t.Errorf("another user finds it: %v", err)
	}
	if _, err := f.send(id, 5, []byte("56789"), true); err != nil {
		t.Fatal(err)
	}
	f.wantFile([]byte("0123456789"))
}

func TestAnUploadThatIsRefusedAtItsEnd(t *testing.T) {
	ctx := context.Background()
	t.Run("because of its digest", func(t *testing.T) {
		f := newUploadFixture(t)
		wrong := store.Digest{1}
		id := f.beginAs(registry.NewUpload{Length: -1, SHA256: &wrong, Age: time.Hour, Most: 1, UserMost: 1})
		if _, err := f.send(id, 0, []byte("x"), true); !errors.Is(err, store.ErrDigest) {
			t.Fatalf("error is %v", err)
		}
		f.wantGone(id)
		f.wantBlobs(0)
	})
	t.Run("because another one was faster", func(t *testing.T) {
		f := newUploadFixture(t)
		first, second := f.begin(-1), f.begin(-1)
		if _, err := f.send(first, 0, []byte("first"), true); err != nil {
			t.Fatal(err)
		}
		if _, err := f.send(second, 0, []byte("second"), true); !errors.Is(err, store.ErrExists) {
			t.Fatalf("error is %v", err)
		}
		f.wantGone(second)
		f.wantFile([]byte("first"))
		if _, err := f.Reap(ctx); err != nil {
			t.Fatal(err)
		}
		f.wantBlobs(1)
	})
}

// TestTheLaterOfTwoRequestsGoesOn: the earlier one hangs, as one does whose connection is
// dead and of which nobody has told the server.
func TestTheLaterOfTwoRequestsGoesOn(t *testing.T) {
	f := newUploadFixture(t)
	id := f.begin(-1)
	reader, writer := io.Pipe()
	hung := make(chan error)
	go func() {
		_, err := f.AppendUpload(context.Background(), uploadRef, id, "alice", registry.Append{
			Content: registry.Content{Body: reader, Size: -1}, Length: -1,
			Interrupt: func() { _ = writer.CloseWithError(errCut) },
		}, f.limits)
		hung <- err
	}()
	if _, err := writer.Write([]byte("came")); err != nil {
		t.Fatal(err)
	}
	f.wantOffset(id, 4) // what came is kept
	if err := <-hung; !errors.Is(err, errCut) {
		t.Errorf("the earlier request: %v", err)
	}
	if _, err := f.send(id, 4, []byte(" and more"), true); err != nil {
		t.Fatal(err)
	}
	f.wantFile([]byte("came and more"))
}

// TestALaterRequestEndsTheOneThatBegan from the moment in which the upload is announced.
// Seen to fail with an upload whose turn is free until its bytes are read.
func TestALaterRequestEndsTheOneThatBegan(t *testing.T) {
	f := newUploadFixture(t)
	reader, writer := io.Pipe()
	interrupted, told := make(chan struct{}), make(chan registry.Upload, 1)
	announce := func(session store.Session) bool {
		go func() {
			found, err := f.FindUpload(context.Background(), uploadRef, session.ID, "alice")
			if err != nil {
				t.Error(err)
			}
			told <- found
		}()
		select {
		case <-interrupted:
		case found := <-told:
			t.Errorf("the later request is told %d bytes while the earlier one goes on", found.Offset)
			told <- found
			_ = writer.CloseWithError(errCut)
		}
		go func() { _, _ = writer.Write([]byte("came")) }()
		return true
	}
	_, err := f.BeginUpload(context.Background(),
		registry.NewUpload{Ref: uploadRef, Creator: "alice", Length: -1, Age: time.Hour, Most: 1, UserMost: 1, Announce: announce},
		registry.Append{Content: registry.Content{Body: reader, Size: -1}, Length: -1, Interrupt: sync.OnceFunc(func() {
			close(interrupted)
			_ = writer.CloseWithError(errCut)
		})}, f.limits)
	if !errors.Is(err, errCut) {
		t.Errorf("the request that began the upload: %v", err)
	}
	found := <-told
	f.wantOffset(found.ID, found.Offset)
}

func TestUploadsExpire(t *testing.T) {
	f := newUploadFixture(t)
	f.limits.Quota.Bytes = 10
	id := f.begin(10)
	if _, err := f.send(id, 0, []byte("01234567"), false); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	_, err := f.Publish(context.Background(), uploadRef, "alice", registry.Content{Body: bytes.NewReader([]byte("012")), Size: 3}, f.limits)
	if !errors.Is(err, store.ErrQuotaBytes) {
		t.Fatalf("what came of an upload does not count: %v", err)
	}
	f.begin(-1)
	if _, err := f.tryBegin(registry.NewUpload{Length: -1, Age: time.Hour, Most: 2, UserMost: 2}); !errors.Is(err, store.ErrBusy) {
		t.Fatalf("a third upload of two: %v", err)
	}
	f.now = f.now.Add(time.Hour - time.Second)
	if ended, err := f.EndExpired(context.Background()); ended != 0 || err != nil {
		t.Fatalf("%d ended too soon, %v", ended, err)
	}
	f.wantOffset(id, 8)
	f.now = f.now.Add(time.Second)
	if ended, err := f.EndExpired(context.Background()); ended != 2 || err != nil {
		t.Fatalf("%d have ended, %v", ended, err)
	}
	f.wantGone(id)
	f.wantBlobs(0)
	if _, err := f.Publish(context.Background(), uploadRef, "alice", registry.Content{Body: bytes.NewReader([]byte("0123456789")), Size: 10}, f.limits); err != nil {
		t.Fatalf("what expired counts still: %v", err)
	}
}

// TestOneUserLeavesRoomForOthers to begin uploads, and an upload that has ended takes none.
// Seen to fail without the bound of a user.
func TestOneUserLeavesRoomForOthers(t *testing.T) {
	f := newUploadFixture(t)
	begin := registry.NewUpload{Length: -1, Age: time.Hour, Most: 3, UserMost: 2}
	first := f.beginAs(begin)
	f.beginAs(begin)
	begin.Creator = "Alice"
	if _, err := f.tryBegin(begin); !errors.Is(err, store.ErrBusy) {
		t.Errorf("a third upload of one user: error is %v, want %v", err, store.ErrBusy)
	}
	begin.Creator = "bob"
	if _, err := f.tryBegin(begin); err != nil {
		t.Errorf("another user: %v", err)
	}
	if _, err := f.tryBegin(begin); !errors.Is(err, store.ErrBusy) {
		t.Errorf("a fourth upload in all: error is %v, want %v", err, store.ErrBusy)
	}
	if _, err := f.send(first, 0, []byte("x"), true); err != nil {
		t.Fatal(err)
	}
	begin.Creator = "alice"
	if _, err := f.tryBegin(begin); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

// TestTheSweepLeavesUploads alone, however old their bytes are.
// Seen to fail with a sweep that does not ask for them.
func TestTheSweepLeavesUploads(t *testing.T) {
	f := newUploadFixture(t)
	ctx := context.Background()
	id := f.beginAs(registry.NewUpload{Length: -1, Age: 100 * 365 * 24 * time.Hour, Most: 1, UserMost: 1})
	if _, err := f.send(id, 0, []byte("kept"), false); err != nil {
		t.Fatal(err)
	}
	f.now = time.Now().Add(2 * store.SweepAfter)
	for range 3 {
		if _, err := f.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.send(id, 4, nil, true); err != nil {
		t.Fatal(err)
	}
	f.wantFile([]byte("kept"))
}

// TestAnIdleUploadTakesLittleMemory: at most 4 KiB, of the registry's.
func TestAnIdleUploadTakesLittleMemory(t *testing.T) {
	const many = 5_000
	f := newUploadFixture(t)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for range many {
		f.beginAs(registry.NewUpload{Length: -1, Age: time.Hour, Most: many, UserMost: many})
	}
	if each := int64(heap()-before) / many; each > 4<<10 {
		t.Errorf("an upload takes %d bytes, with its session in memory", each)
	}
	runtime.KeepAlive(f)
}
