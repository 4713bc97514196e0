package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sharedPosition was seen to fail with a position that a store had counted before.
func sharedPosition(f *sharedFixture) {
	for i, node := range f.nodes {
		for j := range 3 {
			node.noError(node.publish(ref("a", "p", numbered(i), numbered(j)), "x"))
		}
		node.noError(node.KeepPosition(context.Background(), false))
	}
	f.nodes[1].reopen() // it has counted all changes just now
	for _, i := range []int{1, 0, 2} {
		f.nodes[i].noError(f.nodes[i].KeepPosition(context.Background(), false))
	}
	for range 5 {
		inParallel(2*len(f.nodes), func(i int) {
			node := f.nodes[i/2]
			if i%2 == 0 {
				if err := node.publish(ref("a", "p", "raced", string(store.NewSessionID())), "x"); err != nil {
					f.Errorf("publishing: %v", err)
				}
				return
			}
			if err := node.KeepPosition(context.Background(), false); err != nil {
				f.Errorf("keeping the position: %v", err)
			}
		})
	}
	for _, node := range f.nodes {
		node.noError(node.IsBehind())
	}
}

// sharedZombie is a process that is stopped between its bytes and its publish, for longer than
// bytes that nothing names stay. Seen to fail with a store that does not ask for their age.
func sharedZombie(f *sharedFixture) {
	ctx := context.Background()
	zombie, r := f.nodes[0], ref("a", "p", "1", "f")
	w, err := zombie.blobs.Create(ctx, 5)
	zombie.noError(err)
	_, err = w.Write([]byte("bytes"))
	zombie.noError(err)
	locator, err := w.Commit(ctx)
	zombie.noError(err)
	f.nodes[1].sweepLater(2)
	if count := f.nodes[1].blobCount(); count != 0 {
		f.Fatalf("%d blobs are left, want none", count)
	}
	for name, age := range map[string]time.Duration{"as old as the sweep has it": store.SweepAfter, "about half as old": store.PublishWithin + time.Second} {
		_, _, err = zombie.metadata.Publish(ctx, store.Publication{
			Ref: r, Blob: store.Blob{Locator: locator, Digest: digestOf("bytes"), Size: 5},
			Stored: zombie.metadata.Clock().Add(-age), Creator: "alice", Created: epoch,
		})
		if !errors.Is(err, store.ErrUnavailable) {
			f.Errorf("bytes %s: %v, want %v", name, err, store.ErrUnavailable)
		}
	}
	for _, node := range f.nodes {
		_, err := node.read(r)
		node.wantError(err, store.ErrPackageNotFound)
	}
}

// sharedDuties asks the stores of duties.
func sharedDuties(f *sharedFixture) {
	takes := func(i int, duty string, lease time.Duration) bool {
		f.Helper()
		has, err := f.nodes[i].metadata.(store.Nodes).TakeDuty(context.Background(), numbered(i), duty, lease)
		f.nodes[i].noError(err)
		return has
	}
	has := make([]bool, len(f.nodes))
	inParallel(len(f.nodes), func(i int) { has[i] = takes(i, "raced", time.Hour) })
	holder := -1
	for i := range has {
		if !has[i] {
			continue
		}
		if holder >= 0 {
			f.Errorf("%d and %d have one duty", holder, i)
		}
		holder = i
	}
	if holder < 0 {
		f.Fatal("nobody has the duty")
	}
	next := (holder + 1) % len(f.nodes)
	if !takes(holder, "raced", time.Millisecond) {
		f.Error("who has a duty cannot take it again")
	}
	if !takes(next, "another", time.Hour) || takes(holder, "another", time.Hour) {
		f.Error("another duty is not apart")
	}
	deadline := time.Now().Add(30 * time.Second)
	for !takes(next, "raced", time.Hour) {
		if time.Now().After(deadline) {
			f.Fatal("nobody gets a duty that was let go")
		}
	}
	if takes(holder, "raced", time.Hour) {
		f.Error("who let a duty go has it still")
	}
}

// sharedMeeting has one node more, which goes.
func sharedMeeting(f *sharedFixture) {
	last, err := f.openMetadata()
	f.nodes[0].noError(err)
	meet := func(metadata store.MetadataStore, name string) (names []string) {
		f.Helper()
		all, ahead, err := metadata.(store.Nodes).Meet(context.Background(), name, "the rules of "+name)
		f.nodes[0].noError(err)
		if ahead.Abs() > time.Second {
			f.Errorf("the clock is %v ahead of a server on the same machine", ahead)
		}
		selves := 0
		for _, node := range all {
			names = append(names, node.Name)
			if node.Rules != "the rules of "+node.Name || node.Seen.IsZero() {
				f.Errorf("a node is %+v", node)
			}
			if node.IsSelf {
				selves++
			}
		}
		if selves != 1 {
			f.Errorf("%d nodes are the one that asks", selves)
		}
		return names
	}
	meet(last, "last")
	meet(f.nodes[0].metadata, "a")
	if names := meet(f.nodes[1].metadata, "b"); !slices.Equal(names, []string{"a", "b", "last"}) {
		f.Errorf("there are %q", names)
	}
	f.nodes[0].noError(last.Close())
	if names := meet(f.nodes[0].metadata, "a"); !slices.Equal(names, []string{"a", "b"}) {
		f.Errorf("after one has gone there are %q", names)
	}
}
