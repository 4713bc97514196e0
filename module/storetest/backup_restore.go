package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

func backupRestored(f *backupFixture) {
	contents := map[store.Ref]string{
		ref("Alice", "P", "1", "empty"): "",
		ref("alice", "p", "1", "Small"): "hello",
		ref("alice", "p", "2", "large"): string(pattern(900_001)),
		ref("bob", "p", "1", "large"):   string(pattern(900_001)),
		ref("bob", "p", "1", "middle"):  string(pattern(200_000)),
	}
	for r, content := range contents {
		f.noError(f.publish(r, content))
	}
	gone := ref("bob", "q", "1", "gone")
	f.noError(f.publish(gone, "gone"))
	f.noError(f.DeleteFile(context.Background(), gone, store.Act{User: "bob"}))
	f.noError(f.publish(ref("bob", "r", "1", "f"), "hello"))
	f.noError(f.DeleteVersion(context.Background(), ref("bob", "r", "1", "").VersionRef, store.Act{User: "bob"}))
	kept, text, err := f.CreateToken(context.Background(), grant.Token{Name: "ci", User: "alice", Scope: grant.Scope{Actions: []grant.Action{grant.Write}}})
	f.noError(err)
	revoked, revokedText, err := f.CreateToken(context.Background(), grant.Token{Name: "old", User: "alice", Scope: grant.Scope{Actions: []grant.Action{grant.Read}}})
	f.noError(err)
	_, err = f.RevokeToken(context.Background(), revoked.ID)
	f.noError(err)

	stream := f.backup(store.Position{})
	lines := int64(12)
	if !f.keepsJournal() {
		lines = 11 // the first and the last, 3 versions, 5 files and a token
	}
	if got := f.readBackup(stream); len(got.blobs) != 4 || got.end.Lines != lines {
		f.Errorf("the backup has %d blobs and %d lines, want 4 and %d", len(got.blobs), got.end.Lines, lines)
	}
	restored := f.mustRestore(stream)
	f.history(stream).want(restored)
	for r, content := range contents {
		restored.wantContent(r, content)
	}
	if token, err := restored.CheckToken(context.Background(), text); err != nil || token.ID != kept.ID || token.User != "alice" {
		f.Errorf("token is %+v, %v", token, err)
	}
	if _, err := restored.CheckToken(context.Background(), revokedText); !errors.Is(err, store.ErrTokenNotFound) {
		f.Errorf("revoked token: %v", err)
	}
	if restored.metadata.ID() != f.metadata.ID() {
		f.Errorf("ID is %s, want %s", restored.metadata.ID(), f.metadata.ID())
	}
	// It lives on: nothing more is swept, new files and backups are made.
	if count := restored.reapAndSweep(); count != 4 {
		f.Errorf("%d blobs for 4 contents", count)
	}
	f.noError(restored.publish(ref("alice", "p", "3", "new"), "new"))
	again := &backupFixture{restored, f.place}
	f.history(again.goOn(stream)...).want(restored)
}

// backupOfEveryChange makes every kind of change both in a full backup and in one that goes
// on.
func backupOfEveryChange(f *backupFixture) {
	ctx := context.Background()
	publish := func(r store.Ref, content string, limits registry.Limits) {
		f.Helper()
		_, err := f.Publish(ctx, r, "alice", registry.Content{Body: strings.NewReader(content), Size: int64(len(content))}, limits)
		f.noError(err)
	}
	same, replace := registry.Limits{OnDuplicate: store.Same}, registry.Limits{OnDuplicate: store.Replace}
	publish(ref("a", "kept", "1", "renewed"), "renewed", registry.Limits{})
	publish(ref("a", "kept", "1", "replaced"), "before", registry.Limits{})
	var streams [][]byte
	for round := range 2 {
		version := numbered(round)
		publish(ref("a", "kept", "1", "renewed"), "renewed", same)
		publish(ref("a", "kept", "1", "replaced"), "replaced by "+version, replace)
		draft := ref("a", "kept", "draft "+version, "f")
		publish(draft, "draft "+version, registry.Limits{Draft: true})
		released := ref("a", "kept", "released "+version, "f")
		publish(released, "released "+version, registry.Limits{Draft: true})
		_, err := f.PublishDraft(ctx, released.VersionRef, nil, "alice")
		f.noError(err)
		publish(ref("a", "gone", version, "f"), "gone "+version, registry.Limits{})
		f.noError(f.DeletePackage(ctx, "a", "gone", "alice"))
		publish(ref("a", "gone", version+" again", "f"), "again "+version, registry.Limits{})
		streams = f.goOn(streams...)
		full := f.backup(store.Position{})
		f.history(full).want(f.mustRestore(full))
		f.history(streams...).want(f.mustRestore(streams...))
	}
	f.history(streams...).want(f.pairFixture)
}

// backupConsistent makes backups while clients publish and delete and the reaper is
// at work. Each is as of one moment: what its lines say, with all bytes.
func backupConsistent(f *backupFixture) {
	const clients, steps = 8, 120
	var working sync.WaitGroup
	defer working.Wait() // also when the test ends early
	for client := range clients {
		working.Go(func() {
			if err := f.churn(client, steps); err != nil {
				f.Errorf("client %d: %v", client, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); working.Wait() }()
	var streams [][]byte
	for busy := true; busy; {
		select {
		case <-done:
			busy = false // one more, of the end
		default:
		}
		streams = f.goOn(streams...)
		full := f.backup(store.Position{})
		f.history(full).want(f.mustRestore(full))
	}
	f.history(streams...).want(f.mustRestore(streams...))
	f.history(streams...).want(f.pairFixture)
}

func backupIncrements(f *backupFixture) {
	f.noError(f.publish(ref("a", "p", "1", "kept"), "kept"))
	f.noError(f.publish(ref("a", "p", "1", "deleted later"), "deleted later"))
	f.noError(f.publish(ref("a", "p", "1", "lost later"), "lost later"))
	streams := [][]byte{f.backup(store.Position{})}
	next := func() {
		f.Helper()
		streams = append(streams, f.backup(f.readBackup(streams[len(streams)-1]).head.Position))
	}
	next() // of nothing
	f.noError(f.publish(ref("a", "p", "2", "kept too"), "kept"))
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "deleted later"), store.Act{User: "a"}))
	f.noError(f.publish(ref("a", "p", "2", "deleted at once"), "deleted at once"))
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "2", "deleted at once"), store.Act{User: "a"}))
	next()
	lost, err := f.Lookup(context.Background(), ref("a", "p", "1", "lost later"))
	f.noError(err)
	f.noError(f.blobs.Delete(context.Background(), lost.Locator))
	f.noError(f.publish(ref("a", "p", "3", "heals it"), "lost later"))
	next()
	for i, want := range []struct{ lines, blobs int64 }{{3, 3}, {0, 0}, {4, 1}, {1, 1}} {
		if end := f.readBackup(streams[i]).end; end.Lines != want.lines || end.Blobs != want.blobs {
			f.Errorf("backup %d has %d lines and %d blobs, want %d and %d", i, end.Lines, end.Blobs, want.lines, want.blobs)
		}
	}
	restored := f.mustRestore(streams...)
	f.history(streams...).want(restored)
	f.history(streams[:2]...).want(f.mustRestore(streams[:2]...))
	if count := restored.reapAndSweep(); count != 2 {
		f.Errorf("%d blobs for 2 contents", count)
	}
}

func backupWrongOrder(f *backupFixture) {
	var streams [][]byte
	var since store.Position
	for i := range 4 {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), numbered(i)))
		stream := f.backup(since)
		since = f.readBackup(stream).head.Position
		streams = append(streams, stream)
	}
	other := newBackupFixture(f, f.place)
	f.noError(other.publish(ref("a", "p", "1", numbered(0)), numbered(0)))
	foreign := other.backup(store.Position{})
	f.noError(other.publish(ref("a", "p", "1", numbered(1)), numbered(1)))
	foreignNext := other.backup(f.readBackup(foreign).head.Position)
	for name, wrong := range map[string][][]byte{
		"no full one first":       {streams[1], streams[2]},
		"one is left out":         {streams[0], streams[2]},
		"the same twice":          {streams[0], streams[1], streams[1]},
		"the wrong way round":     {streams[0], streams[2], streams[1]},
		"two full ones":           {streams[0], streams[0]},
		"an increment of another": {streams[0], foreignNext},
		"another full one":        {streams[0], foreign},
	} {
		if summary, err := f.restore(f.place(f), wrong...); !errors.Is(err, store.ErrNotContinued) {
			f.Errorf("%s: %+v, %v", name, summary, err)
		}
	}
	if _, err := f.restore(f.place(f)); !errors.Is(err, store.ErrIncomplete) {
		f.Errorf("none at all: %v", err)
	}
	f.history(streams...).want(f.mustRestore(streams...))
}

func backupOtherHistory(f *backupFixture) {
	for i := range 3 {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), numbered(i)))
	}
	now := f.readBackup(f.backup(store.Position{})).head.Position
	other := now
	other.Chain[0] ^= 1
	for name, since := range map[string]store.Position{
		"beyond the last change":         {Sequence: now.Sequence + 1, Chain: now.Chain},
		"another last change":            other,
		"another change before the last": {Sequence: 2, Chain: now.Chain},
		"another beginning":              {Chain: now.Chain},
	} {
		var stream bytes.Buffer
		_, err := backup.Make(context.Background(), f.Registry, backup.Options{Since: since}, &stream)
		if !errors.Is(err, store.ErrNotContinued) || !strings.Contains(err.Error(), "full backup") || stream.Len() > 0 {
			f.Errorf("%s: %v, %d bytes", name, err, stream.Len())
		}
	}
}

// backupHoldsBytes reads the head of a backup, then everything is deleted; the rest
// of the backup is whole all the same, and afterwards the bytes are gone.
func backupHoldsBytes(f *backupFixture) {
	const files = 20
	for i := range files {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), numbered(i)+string(pattern(50_000))))
	}
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := backup.Make(context.Background(), f.Registry, backup.Options{}, writer)
		ended <- errors.Join(err, writer.Close())
	}()
	var stream bytes.Buffer
	_, err := io.CopyN(&stream, reader, 512)
	f.noError(err)
	f.noError(f.DeleteVersion(context.Background(), ref("a", "p", "1", "").VersionRef, store.Act{User: "a"}))
	removed, err := f.Reap(context.Background())
	f.noError(err)
	if count := f.blobCount(); removed != 0 || count != files {
		f.Errorf("during the backup %d were reaped; %d blobs are left", removed, count)
	}
	_, err = io.Copy(&stream, reader)
	f.noError(err)
	f.noError(<-ended)
	f.history(stream.Bytes()).want(f.mustRestore(stream.Bytes()))
	f.waitForBlobs(0)
}
