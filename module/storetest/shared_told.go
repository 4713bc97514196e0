package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sharedTold has all nodes publish and delete one file of each of three owners, while one node
// reads the changes. Of each file they must alternate. Seen to fail with changes that are
// numbered when they are added, and with changes that are numbered in the order in which their
// transactions began.
func sharedTold(f *sharedFixture) {
	const clients, each = 9, 25
	reader := &metadataFixture{TB: f, MetadataStore: f.nodes[1].metadata}
	changes := reader.MetadataStore.(store.Changes)
	reader.holdFrom(changes, 0)
	var made atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { made.Add(one(publishEnd(reader))) }()
		inParallel(clients, func(i int) {
			node := &metadataFixture{TB: f, MetadataStore: f.nodes[i%len(f.nodes)].metadata}
			r := ref(numbered(i/len(f.nodes)), "p", "1", "f")
			for range each {
				_, _, err := node.publish(r, "x")
				if made.Add(one(err)); err != nil && !errors.Is(err, store.ErrExists) {
					f.Errorf("publishing: %v", err)
				}
				err = node.DeleteFile(context.Background(), r, act)
				if made.Add(one(err)); err != nil && !errors.Is(err, store.ErrPackageNotFound) {
					f.Errorf("deleting: %v", err)
				}
			}
		})
	}()
	defer func() { <-done }() // also after a failure
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	follower, last, at := changes.Follow(0), make(map[string]store.Operation), uint64(0)
	for last[ending] == "" {
		next, err := follower.Next(ctx, 7)
		if err != nil {
			f.Fatalf("%d changes are told, want %d: %v", at, made.Load(), err)
		}
		for _, change := range next {
			if at++; change.Sequence != at {
				f.Fatalf("change %d is told after change %d", change.Sequence, at-1)
			}
			if change.Operation == last[change.Owner] || last[change.Owner] == "" && change.Operation != store.OperationPublish {
				f.Errorf("change %d of owner %s is %s, after %q", at, change.Owner, change.Operation, last[change.Owner])
			}
			last[change.Owner] = change.Operation
		}
	}
	<-done
	if at != uint64(made.Load()) || reader.last(changes) != at {
		f.Errorf("%d changes are told, and the last one is %d; want %d", at, reader.last(changes), made.Load())
	}
}

// ending is the owner of the last change.
const ending = "ending"

func publishEnd(node *metadataFixture) error {
	_, _, err := node.publish(ref(ending, "p", "1", "f"), "x")
	return err
}

// one counts what succeeded.
func one(err error) int64 {
	if err != nil {
		return 0
	}
	return 1
}

// sharedBookmarks: who was stopped and goes on has lost the bookmarks to who has read them
// since, and takes no changes away. Seen to fail with bookmarks and holds that everybody may
// change.
func sharedBookmarks(f *sharedFixture) {
	ctx := context.Background()
	stopped, next := &metadataFixture{TB: f, MetadataStore: f.nodes[0].metadata}, &metadataFixture{TB: f, MetadataStore: f.nodes[1].metadata}
	of := func(node *metadataFixture) store.Changes { return node.MetadataStore.(store.Changes) }
	stopped.holdFrom(of(stopped), 0)
	stopped.noError(of(stopped).SaveBookmarks(ctx, map[string]store.Bookmark{"a": {After: 1}}))
	next.mustPublish(ref("o", "p", "1", "f"), "x")
	bookmarks, err := of(next).Bookmarks(ctx)
	next.noError(err)
	next.want(bookmarks, map[string]store.Bookmark{"a": {After: 1}})
	stopped.wantError(of(stopped).SaveBookmarks(ctx, nil), store.ErrLocked)
	stopped.wantError(of(stopped).HoldChanges(ctx, store.NoHold), store.ErrLocked)
	next.want(next.told(of(next).Follow(0), 1, 10), []string{"1 publish o/p/1/f"})
	next.noError(of(next).SaveBookmarks(ctx, map[string]store.Bookmark{"a": {After: 2}, "b": {}}))
	bookmarks, err = of(stopped).Bookmarks(ctx)
	stopped.noError(err)
	stopped.want(bookmarks, map[string]store.Bookmark{"a": {After: 2}, "b": {}})
}

// sharedHold: who holds nothing ends the keeping for all, and who holds again begins it for all.
func sharedHold(f *sharedFixture) {
	ctx := context.Background()
	holder, other := &metadataFixture{TB: f, MetadataStore: f.nodes[0].metadata}, &metadataFixture{TB: f, MetadataStore: f.nodes[2].metadata}
	changes := holder.MetadataStore.(store.Changes)
	other.mustPublish(ref("o", "p", "1", "before"), "x")
	holder.holdFrom(changes, 0)
	other.mustPublish(ref("o", "p", "1", "a"), "x")
	other.mustPublish(ref("o", "p", "1", "b"), "x")
	told := holder.told(changes.Follow(0), 2, 10)
	if len(told) != 2 || !strings.HasSuffix(told[0], "/a") || !strings.HasSuffix(told[1], "/b") {
		f.Errorf("%q is told, want a and b", told)
	}
	holder.noError(changes.HoldChanges(ctx, 1))
	holder.want(holder.told(changes.Follow(0), 1, 10), told[1:])
	holder.noError(changes.HoldChanges(ctx, store.NoHold))
	other.mustPublish(ref("o", "p", "1", "c"), "x")
	holder.noError(changes.HoldChanges(ctx, 2))
	other.mustPublish(ref("o", "p", "1", "d"), "x")
	holder.want(holder.told(changes.Follow(0), 1, 10), []string{"3 publish o/p/1/d"})
}
