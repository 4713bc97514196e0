package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// Shared runs what registries promise that have the same two stores open.
func Shared(t *testing.T, metadata MetadataPlace, blobs BlobPlace) {
	for name, test := range map[string]func(*sharedFixture){
		"8 open a new place at once, and it is one":               sharedOpening,
		"metadata is tied to its blobs":                           sharedBinding,
		"what one changes the others find at once":                sharedChanges,
		"of racing publishes one wins, and its bytes are served":  sharedRace,
		"a quota is exact while all publish":                      sharedQuota,
		"what one deletes another one reaps, and nothing else":    sharedReaping,
		"damage that one finds all know, and any publish heals":   sharedDamage,
		"a token of one is for all, until one revokes it":         sharedTokens,
		"what the others changed is not taken for a loss":         sharedPosition,
		"bytes that another one swept get no name":                sharedZombie,
		"an upload is for the one that began it, until it is old": sharedUploads,
		"a duty is for one, until it lets it go":                  sharedDuties,
		"all know who is there":                                   sharedMeeting,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newSharedFixture(t, metadata, blobs)) })
			goleak.VerifyNone(t, before)
		})
	}
}

// sharedFixture is three registries on one place, as of three processes.
type sharedFixture struct {
	testing.TB
	nodes        []*pairFixture
	openMetadata func() (store.MetadataStore, error)
	openBlobs    func() (store.BlobStore, error)
	others       BlobPlace
}

func newSharedFixture(t testing.TB, metadata MetadataPlace, blobs BlobPlace) *sharedFixture {
	f := &sharedFixture{TB: t, openMetadata: metadata(t), openBlobs: blobs(t), others: blobs}
	for i := range 3 {
		node := &pairFixture{TB: t, openMetadata: f.openMetadata, openBlobs: f.openBlobs, clock: time.Now, idle: true, node: numbered(i)}
		node.mustOpen()
		t.Cleanup(func() { node.noError(node.Registry.Close()) })
		node.noError(bindBoth(node.metadata, node.blobs))
		f.nodes = append(f.nodes, node)
	}
	return f
}

// bindBoth ties two stores to each other, as who opens them does.
func bindBoth(metadata store.MetadataStore, blobs store.BlobStore) error {
	if err := blobs.Bind(context.Background(), metadata.ID()); err != nil {
		return err
	}
	id, err := blobs.(store.Identified).BlobsID(context.Background())
	if err != nil {
		return err
	}
	return metadata.(store.Shared).BindBlobs(context.Background(), id)
}

// sharedOpening has a place of its own: that of the fixture is bound. What is a state, such as
// that another one is writing, passes.
func sharedOpening(f *sharedFixture) {
	openBlobs := f.others(f)
	ids := make([]string, 8)
	inParallel(len(ids), func(i int) {
		var blobs store.BlobStore
		var err error
		for range 100 {
			if blobs, err = openBlobs(); !errors.Is(err, store.ErrUnavailable) {
				break
			}
		}
		if err != nil {
			f.Errorf("opening: %v", err)
			return
		}
		for range 100 {
			if err = blobs.Bind(context.Background(), f.nodes[0].metadata.ID()); !errors.Is(err, store.ErrUnavailable) {
				break
			}
		}
		if err == nil {
			ids[i], err = blobs.(store.Identified).BlobsID(context.Background())
		}
		if err = errors.Join(err, blobs.Close()); err != nil {
			f.Errorf("binding: %v", err)
		}
	})
	for _, id := range ids {
		if id == "" || id != ids[0] {
			f.Errorf("the blobs have the IDs %q", ids)
		}
	}
}

func sharedBinding(f *sharedFixture) {
	blobs, err := f.others(f)()
	f.nodes[0].noError(err)
	f.nodes[0].wantError(bindBoth(f.nodes[0].metadata, blobs), store.ErrMismatch)
	f.nodes[0].noError(blobs.Close())
	for _, node := range f.nodes {
		node.noError(bindBoth(node.metadata, node.blobs))
	}
}

func sharedChanges(f *sharedFixture) {
	for i, node := range f.nodes {
		r, content := ref("a", "p", numbered(i), "f"), strings.Repeat(numbered(i), 100_000*i)
		node.noError(node.publish(r, content))
		for _, other := range f.nodes {
			other.wantContent(r, content)
			other.wantError(other.publish(r, "other"), store.ErrExists)
		}
		last := f.nodes[(i+1)%len(f.nodes)]
		last.noError(last.DeleteVersion(context.Background(), r.VersionRef, "alice"))
		for _, other := range f.nodes {
			_, err := other.read(r)
			other.wantError(err, store.ErrPackageNotFound)
		}
	}
}

func sharedRace(f *sharedFixture) {
	const clients = 12
	r := ref("a", "p", "1", "f")
	errs := make([]error, clients)
	inParallel(clients, func(i int) { errs[i] = f.nodes[i%len(f.nodes)].publish(r, strings.Repeat(numbered(i), 10_000)) })
	winners := 0
	for i, err := range errs {
		if err != nil {
			f.nodes[0].wantError(err, store.ErrExists)
			continue
		}
		winners++
		for _, node := range f.nodes {
			node.wantContent(r, strings.Repeat(numbered(i), 10_000))
		}
	}
	if winners != 1 {
		f.Errorf("%d winners", winners)
	}
	if count := f.nodes[0].reapAndSweep(); count != 1 {
		f.Errorf("%d blobs are left", count)
	}
}

func sharedQuota(f *sharedFixture) {
	const clients, each, fit = 60, 10, 20
	var published atomic.Int64
	inParallel(clients, func(i int) {
		content := fmt.Sprintf("%*d", each, i)
		_, err := f.nodes[i%len(f.nodes)].Publish(context.Background(), ref("a", "p", "1", numbered(i)), "alice",
			registry.Content{Body: strings.NewReader(content), Size: each}, registry.Limits{Quota: store.Quota{Bytes: each*fit + each/2}})
		switch {
		case err == nil:
			published.Add(1)
		case !errors.Is(err, store.ErrQuotaBytes):
			f.Errorf("publishing: %v", err)
		}
	})
	if published.Load() != fit {
		f.Errorf("%d files of %d bytes were published, want %d", published.Load(), each, fit)
	}
	usage, err := f.nodes[0].metadata.Usage(context.Background(), "a")
	f.nodes[0].noError(err)
	if usage.Bytes != each*fit || usage.Files != fit {
		f.Errorf("the owner has %+v", usage)
	}
}

func sharedReaping(f *sharedFixture) {
	kept, gone := ref("a", "p", "1", "kept"), ref("a", "p", "1", "gone")
	f.nodes[0].noError(f.nodes[0].publish(kept, "kept"))
	f.nodes[0].noError(f.nodes[0].publish(gone, "gone"))
	f.nodes[1].noError(f.nodes[1].DeleteFile(context.Background(), gone, "alice"))
	inParallel(len(f.nodes), func(i int) {
		if _, err := f.nodes[i].Reap(context.Background()); err != nil {
			f.Errorf("reaping: %v", err)
		}
	})
	if count := f.nodes[2].blobCount(); count != 1 {
		f.Errorf("%d blobs are left, want 1", count)
	}
	f.nodes[2].wantContent(kept, "kept")
}

// sharedDamage was seen to fail with damage that only who found it knew.
func sharedDamage(f *sharedFixture) {
	r := ref("a", "p", "1", "f")
	f.nodes[0].noError(f.nodes[0].publish(r, "precious"))
	file, err := f.nodes[0].Lookup(context.Background(), r)
	f.nodes[0].noError(err)
	f.nodes[0].noError(f.nodes[0].blobs.Delete(context.Background(), file.Locator)) // the store loses it
	_, err = f.nodes[1].read(r)
	f.nodes[1].wantError(err, store.ErrDamaged)
	for _, node := range f.nodes {
		file, err := node.Lookup(context.Background(), r)
		node.noError(err)
		if file.Damage != store.DamageMissing {
			f.Errorf("the damage is %q, want %q", file.Damage, store.DamageMissing)
		}
		if damaged, err := node.CountDamage(context.Background()); damaged != 1 || err != nil {
			f.Errorf("%d damaged blobs are counted, %v", damaged, err)
		}
	}
	f.nodes[2].noError(f.nodes[2].publish(ref("b", "q", "1", "g"), "precious"))
	for _, node := range f.nodes {
		node.wantContent(r, "precious")
		if damaged, err := node.CountDamage(context.Background()); damaged != 0 || err != nil {
			f.Errorf("%d damaged blobs are counted after the publish, %v", damaged, err)
		}
	}
}

// sharedTokens was seen to fail with a last use that hides a later one of another process.
func sharedTokens(f *sharedFixture) {
	ctx := context.Background()
	clock := []time.Duration{0, time.Minute, time.Hour}
	for i, node := range f.nodes {
		node.clock = func() time.Time { return epoch.Add(clock[i]) }
	}
	_, text, err := f.nodes[0].CreateToken(ctx, grant.Token{Name: "ci", User: "ci", Scope: grant.Scope{Actions: []grant.Action{grant.Write}}})
	f.nodes[0].noError(err)
	for _, node := range f.nodes {
		_, err := node.CheckToken(ctx, text)
		node.noError(err)
	}
	for i := len(f.nodes) - 1; i > 0; i-- { // the first one keeps its use to itself, and the latest is stored first
		_, err := f.nodes[i].StoreUses(ctx)
		f.nodes[i].noError(err)
	}
	tokens, err := f.nodes[0].Tokens(ctx)
	f.nodes[0].noError(err)
	if len(tokens) != 1 || !tokens[0].LastUsed.Equal(epoch.Add(time.Hour)) {
		f.Errorf("the tokens are %+v, want one that was used at %v", tokens, epoch.Add(time.Hour))
	}
	_, err = f.nodes[1].RevokeToken(ctx, "ci")
	f.nodes[1].noError(err)
	for _, node := range f.nodes {
		_, err := node.CheckToken(ctx, text)
		node.wantError(err, store.ErrTokenNotFound)
	}
}

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

// sharedUploads: what an upload in several requests has in memory is with the process that began
// it. Another one that went on with it would write to the same place at the same time. Seen to
// fail with processes that know all uploads, and with a sweep that leaves those of one that is gone.
func sharedUploads(f *sharedFixture) {
	ctx := context.Background()
	r := ref("a", "p", "1", "f")
	nothing := func() registry.Append {
		return registry.Append{Content: registry.Content{Body: strings.NewReader("")}, Length: -1, Interrupt: func() {}}
	}
	begin := registry.NewUpload{Ref: r, Creator: "alice", Length: -1, Age: time.Minute / 2, Most: 1, UserMost: 1, Announce: func(store.Session) {}}
	begun, err := f.nodes[0].BeginUpload(ctx, begin, nothing(), registry.Limits{})
	f.nodes[0].noError(err)
	f.nodes[1].reopen()
	_, err = f.nodes[1].FindUpload(ctx, r, begun.ID, "alice")
	f.nodes[1].wantError(err, store.ErrSessionNotFound)
	f.nodes[0].reopen()
	first := nothing()
	first.Body, first.Size = strings.NewReader("first"), 5
	_, err = f.nodes[0].AppendUpload(ctx, r, begun.ID, "alice", first, registry.Limits{})
	f.nodes[0].noError(err)
	f.nodes[1].sweepLater(2)
	if _, err := f.nodes[0].FindUpload(ctx, r, begun.ID, "alice"); !errors.Is(err, store.ErrSessionNotFound) {
		f.Errorf("an upload that nobody can end any more: %v", err)
	}
	sessions, err := f.nodes[2].blobs.Sessions(ctx)
	f.nodes[2].noError(err)
	if len(sessions) > 0 {
		f.Errorf("%d uploads are left", len(sessions))
	}
	begun, err = f.nodes[2].BeginUpload(ctx, begin, nothing(), registry.Limits{})
	f.nodes[2].noError(err)
	whole := nothing()
	whole.Body, whole.Size, whole.Complete = io.LimitReader(strings.NewReader("whole"), 5), 5, true
	_, err = f.nodes[2].AppendUpload(ctx, r, begun.ID, "alice", whole, registry.Limits{})
	f.nodes[2].noError(err)
	f.nodes[1].wantContent(r, "whole")
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
