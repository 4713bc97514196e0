package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Changes runs the contract of store.Changes. Seen to fail with a limit that is ignored, a
// follower that begins at the first change or ahead of the last one, changes that are told
// before readers see them, a waiting follower that is not woken or does not end, drafts that are
// told as published, bookmarks that are added to others or lose a time, a last change that is
// not known after opening, and bookmarks that a closed store keeps.
func Changes(t *testing.T, place MetadataPlace) {
	for name, clause := range map[string]func(*metadataFixture, store.Changes){
		"changes are told in their order, to each who follows":        changesTold,
		"who waits for a change is told of it when readers see it":    changesAwaited,
		"a wait for a change ends with its context":                   waitEnds,
		"changes of drafts are told as such":                          draftChanges,
		"bookmarks are kept over closing and opening, and others go":  bookmarksKept,
		"changes from before closing are told to who follows again":   changesAfterReopening,
		"a closed store tells nothing and keeps no bookmarks":         changesOfClosed,
		"a follower of a number that is not there yet waits for more": changesAhead,
	} {
		t.Run(name, func(t *testing.T) {
			f := newMetadataFixture(t, place)
			changes, ok := f.MetadataStore.(store.Changes)
			if !ok {
				t.Fatalf("%T does not tell its changes", f.MetadataStore)
			}
			f.holdFrom(changes, 0)
			clause(f, changes)
		})
	}
}

// holdFrom has changes after a number be kept.
func (f *metadataFixture) holdFrom(changes store.Changes, after uint64) {
	f.Helper()
	_, err := changes.Bookmarks(context.Background())
	f.noError(err)
	f.noError(changes.HoldChanges(context.Background(), after))
}

func (f *metadataFixture) last(changes store.Changes) uint64 {
	f.Helper()
	last, err := changes.LastChange(context.Background())
	f.noError(err)
	return last
}

// told takes so many changes of a follower, in steps of at most limit.
func (f *metadataFixture) told(follower store.Follower, count, limit int) (texts []string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(texts) < count {
		next, err := follower.Next(ctx, limit)
		f.noError(err)
		if len(next) == 0 || len(next) > limit {
			f.Fatalf("%d changes at once, want at least one and at most %d", len(next), limit)
		}
		for _, change := range next {
			texts = append(texts, fmt.Sprintf("%d %s %s/%s/%s/%s", change.Sequence, change.Operation, change.Owner, change.Package, change.Version, change.File))
		}
	}
	return texts
}

func changesTold(f *metadataFixture, changes store.Changes) {
	ctx := context.Background()
	first := changes.Follow(f.last(changes))
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	f.mustPublish(ref("o", "p", "1", "g"), "y")
	f.noError(f.DeleteFile(ctx, ref("o", "p", "1", "f"), act))
	f.mustPublish(ref("o", "p", "2", "f"), "x")
	f.noError(f.DeleteVersion(ctx, ref("o", "p", "1", "").VersionRef, act))
	f.noError(f.DeletePackage(ctx, "o", "p", act))
	want := []string{"1 publish o/p/1/f", "2 publish o/p/1/g", "3 delete_file o/p/1/f", "4 publish o/p/2/f", "5 delete_version o/p/1/", "6 delete_package o/p//"}
	f.want(f.last(changes), uint64(6))
	f.want(f.told(first, 6, 2), want)
	f.want(f.told(changes.Follow(0), 6, 100), want)
	f.want(f.told(changes.Follow(4), 2, 1), want[4:])
	f.mustPublish(ref("o", "q", "1", "f"), "x")
	f.want(f.told(first, 1, 10), []string{"7 publish o/q/1/f"})
}

func changesAwaited(f *metadataFixture, changes store.Changes) {
	const count = 40
	follower := changes.Follow(0)
	published := make(chan error, 1)
	go func() {
		for i := range count {
			if _, _, err := f.publish(ref("o", "p", "1", fmt.Sprint("f", i)), fmt.Sprint(i)); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for seen := 0; seen < count; {
		next, err := follower.Next(ctx, 3)
		f.noError(err)
		for _, change := range next {
			f.want(change.File, fmt.Sprint("f", seen))
			f.mustLookup(ref("o", "p", "1", change.File))
			seen++
		}
	}
	f.noError(<-published)
}

func waitEnds(f *metadataFixture, changes store.Changes) {
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	follower := changes.Follow(1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := follower.Next(ctx, 10)
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		f.wantError(err, context.Canceled)
	case <-time.After(time.Minute):
		f.Fatalf("the wait goes on after its context")
	}
}

func draftChanges(f *metadataFixture, changes store.Changes) {
	ctx := context.Background()
	drafted := store.Act{User: "alice", Time: epoch, Only: store.Drafted}
	begun := f.mustDraft(ref("o", "p", "1", "f"), "x")
	f.mustDraft(ref("o", "p", "1", "g"), "y")
	f.noError(f.DeleteFile(ctx, ref("o", "p", "1", "g"), drafted))
	_, err := f.PublishDraft(ctx, begun.VersionRef, nil, act)
	f.noError(err)
	f.mustDraft(ref("o", "p", "2", "f"), "x")
	f.noError(f.DeleteVersion(ctx, ref("o", "p", "2", "").VersionRef, drafted))
	f.mustDraft(ref("o", "p", "3", "f"), "x")
	f.noError(f.DeleteDraft(ctx, ref("o", "p", "3", "").VersionRef, time.Now().Add(time.Hour), drafted))
	f.mustPublish(ref("o", "p", "4", "f"), "x")
	f.noError(f.DeleteVersion(ctx, ref("o", "p", "4", "").VersionRef, store.Act{User: "alice", Time: epoch, Only: store.Published}))
	next, err := changes.Follow(0).Next(ctx, 100)
	f.noError(err)
	var drafts []bool
	for _, change := range next {
		drafts = append(drafts, change.Draft)
		if change.Operation == store.OperationPublishDraft && change.VersionID == 0 {
			f.Errorf("change %d has no ID of the version that it publishes", change.Sequence)
		}
	}
	f.want(drafts, []bool{true, true, true, false, true, true, true, true, false, false})
}

func bookmarksKept(f *metadataFixture, changes store.Changes) {
	none, err := changes.Bookmarks(context.Background())
	f.noError(err)
	f.want(len(none), 0)
	f.noError(changes.SaveBookmarks(context.Background(), map[string]store.Bookmark{"a": {After: 7}, "b": {After: 9, Lost: 2, LostAt: epoch, Saved: epoch}}))
	f.noError(changes.SaveBookmarks(context.Background(), map[string]store.Bookmark{"b": {After: 10, Lost: 2, LostAt: epoch, Saved: epoch}, "c": {}}))
	f.reopen()
	kept, err := f.MetadataStore.(store.Changes).Bookmarks(context.Background())
	f.noError(err)
	f.want(kept, map[string]store.Bookmark{"b": {After: 10, Lost: 2, LostAt: epoch, Saved: epoch}, "c": {}})
}

func changesAfterReopening(f *metadataFixture, _ store.Changes) {
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	f.mustPublish(ref("o", "p", "1", "g"), "y")
	f.reopen()
	changes := f.MetadataStore.(store.Changes)
	f.want(f.last(changes), uint64(2))
	follower := changes.Follow(1)
	f.want(f.told(follower, 1, 10), []string{"2 publish o/p/1/g"})
	f.mustPublish(ref("o", "p", "1", "h"), "z")
	f.want(f.told(follower, 1, 10), []string{"3 publish o/p/1/h"})
}

func changesOfClosed(f *metadataFixture, changes store.Changes) {
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	f.noError(f.Close())
	if _, err := changes.Follow(0).Next(context.Background(), 1); !errors.Is(err, store.ErrUnavailable) {
		f.Errorf("changes of a closed store: %v, want ErrUnavailable", err)
	}
	if err := changes.SaveBookmarks(context.Background(), map[string]store.Bookmark{"a": {}}); !errors.Is(err, store.ErrUnavailable) {
		f.Errorf("bookmarks of a closed store: %v, want ErrUnavailable", err)
	}
}

func changesAhead(f *metadataFixture, changes store.Changes) {
	follower := changes.Follow(2)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 3 {
		_, err := follower.Next(ended, 10)
		f.wantError(err, context.Canceled) // there is nothing yet
		f.mustPublish(ref("o", "p", "1", fmt.Sprint("f", i)), "x")
	}
	f.want(f.told(follower, 1, 10), []string{"3 publish o/p/1/f2"})
}
