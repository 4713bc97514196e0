package storetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// ofUpload is a request of an upload with some bytes.
func ofUpload(offset int64, content string, complete bool) registry.Append {
	return registry.Append{
		Content: registry.Content{Body: strings.NewReader(content), Size: int64(len(content))},
		Offset:  offset, Length: -1, Complete: complete, Interrupt: func() {},
	}
}

func (f *sharedFixture) begin(node *pairFixture, r store.Ref, age time.Duration) registry.Upload {
	f.Helper()
	begun, err := node.BeginUpload(context.Background(), registry.NewUpload{
		Ref: r, Creator: "alice", Length: -1, Age: age, Most: 9, UserMost: 9, Announce: func(store.Session) bool { return true },
	}, ofUpload(0, "", false), registry.Limits{})
	node.noError(err)
	return begun
}

// sharedUpload has an upload go around: each of several processes has it, and again. Seen to
// fail with a process that goes on where it was itself.
func sharedUpload(f *sharedFixture) {
	ctx := context.Background()
	r := ref("a", "p", "1", "f")
	begun := f.begin(f.nodes[0], r, time.Hour)
	whole := string(pattern(5_500_000)) // more than a part
	var offset int64
	for i, end := range []int64{3, 5_400_000, 5_400_001, 5_450_000, 5_450_000, 5_499_999} {
		node := f.nodes[i%len(f.nodes)]
		if i == 4 {
			node.reopen()
		}
		_, err := node.FindUpload(ctx, r, begun.ID, "bob")
		node.wantError(err, store.ErrSessionNotFound)
		found, err := node.FindUpload(ctx, r, begun.ID, "alice")
		node.noError(err)
		if found.Offset != offset {
			f.Fatalf("%d finds the upload at %d, want %d", i, found.Offset, offset)
		}
		_, err = node.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(offset, whole[offset:end], false), registry.Limits{})
		node.noError(err)
		offset = end
	}
	last := f.nodes[2]
	stands, err := last.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(offset, whole[offset:], true), registry.Limits{})
	last.noError(err)
	if stands.File == nil {
		f.Fatalf("the upload is %+v, want a file", stands)
	}
	for _, node := range f.nodes {
		node.wantContent(r, whole)
	}
	_, err = f.nodes[1].FindUpload(ctx, r, begun.ID, "alice")
	f.nodes[1].wantError(err, store.ErrSessionNotFound)
	sessions, err := f.nodes[1].blobs.Sessions(ctx)
	f.nodes[1].noError(err)
	if count := f.nodes[1].reapAndSweep(); count != 1 || len(sessions) != 0 {
		f.Errorf("%d blobs and %d uploads are left, want 1 and 0", count, len(sessions))
	}
}

// sharedOvertaken has a request wait for its body while another process goes on. Seen to fail
// with a process that does not ask whose turn it is when it has saved, and with one that saves
// into the other's turn.
func sharedOvertaken(f *sharedFixture) {
	ctx := context.Background()
	r := ref("a", "p", "1", "f")
	slow, quick := f.nodes[0], f.nodes[1]
	begun := f.begin(slow, r, time.Hour)
	_, err := slow.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(0, "first ", false), registry.Limits{})
	slow.noError(err)
	body, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		request := ofUpload(6, "", false)
		request.Body, request.Size = body, -1
		_, err := slow.AppendUpload(ctx, r, begun.ID, "alice", request, registry.Limits{})
		ended <- err
	}()
	_, err = write.Write([]byte("late "))
	slow.noError(err)
	_, err = quick.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(6, "second ", false), registry.Limits{})
	quick.noError(err)
	slow.noError(write.Close())
	slow.wantError(<-ended, store.ErrOvertaken)
	found, err := quick.FindUpload(ctx, r, begun.ID, "alice")
	quick.noError(err)
	if found.Offset != 13 {
		f.Errorf("the upload is at %d, want 13", found.Offset)
	}
	_, err = slow.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(13, "third", true), registry.Limits{})
	slow.noError(err)
	quick.wantContent(r, "first second third")
}

// sharedGivenUp is a process that is stopped before it publishes an upload, while another one
// gives it up. Seen to fail with bytes that are deleted without being condemned, and with
// condemned ones that are forgotten when they are deleted.
func sharedGivenUp(f *sharedFixture) {
	ctx := context.Background()
	r := ref("a", "p", "1", "f")
	zombie, other := f.nodes[0], f.nodes[1]
	begun := f.begin(zombie, r, time.Hour)
	_, err := zombie.AppendUpload(ctx, r, begun.ID, "alice", ofUpload(0, "bytes", false), registry.Limits{})
	zombie.noError(err)
	session, err := zombie.blobs.FindSession(ctx, begun.ID)
	zombie.noError(err)
	w, err := zombie.blobs.ContinueSession(ctx, session)
	zombie.noError(err)
	zombie.noError(errors.Join(w.Commit(ctx), w.Close()))
	alive := zombie.metadata.Clock()

	other.noError(other.CancelUpload(ctx, r, begun.ID, "alice"))
	for range 2 {
		_, _, err = zombie.metadata.Publish(ctx, store.Publication{
			Ref: r, Blob: store.Blob{Locator: session.Locator, Digest: digestOf("bytes"), Size: 5},
			Stored: alive, Creator: "alice", Created: epoch,
		})
		zombie.wantError(err, store.ErrUnavailable)
		if count := other.reapAndSweep(); count != 0 {
			f.Errorf("%d blobs are left", count)
		}
	}
	_, err = other.read(r)
	other.wantError(err, store.ErrPackageNotFound)
}

// sharedUploadsEnd was seen to fail with processes that know their own uploads only.
func sharedUploadsEnd(f *sharedFixture) {
	ctx := context.Background()
	r := ref("a", "p", "1", "f")
	begun := f.begin(f.nodes[0], r, time.Minute)
	_, err := f.nodes[0].AppendUpload(ctx, r, begun.ID, "alice", ofUpload(0, "12345", false), registry.Limits{})
	f.nodes[0].noError(err)
	ended := 0
	end := func() {
		for _, node := range f.nodes {
			n, err := node.EndExpired(ctx)
			node.noError(err)
			ended += n
		}
	}
	end()
	limits := registry.Limits{Quota: store.Quota{Bytes: 9}}
	for _, node := range f.nodes {
		_, err := node.Publish(ctx, ref("a", "p", "2", "f"), "alice", registry.Content{Body: strings.NewReader("67890"), Size: 5}, limits)
		node.wantError(err, store.ErrQuotaBytes)
	}
	if ended != 0 {
		f.Errorf("%d uploads ended that go on", ended)
	}
	for _, node := range f.nodes {
		node.clock = func() time.Time { return time.Now().Add(time.Hour) }
	}
	end()
	end()
	if ended != 1 {
		f.Errorf("%d uploads have ended, want 1", ended)
	}
	sessions, err := f.nodes[2].blobs.Sessions(ctx)
	f.nodes[2].noError(err)
	if len(sessions) > 0 {
		f.Errorf("%d uploads are left", len(sessions))
	}
	_, err = f.nodes[1].Publish(ctx, ref("a", "p", "2", "f"), "alice", registry.Content{Body: strings.NewReader("67890"), Size: 5}, limits)
	f.nodes[1].noError(err)
}
