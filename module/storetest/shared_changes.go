package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

func sharedChanges(f *sharedFixture) {
	for i, node := range f.nodes {
		r, content := ref("a", "p", numbered(i), "f"), strings.Repeat(numbered(i), 100_000*i)
		node.noError(node.publish(r, content))
		for _, other := range f.nodes {
			other.wantContent(r, content)
			other.wantError(other.publish(r, "other"), store.ErrExists)
		}
		last := f.nodes[(i+1)%len(f.nodes)]
		last.noError(last.DeleteVersion(context.Background(), r.VersionRef, store.Act{User: "alice"}))
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
	f.nodes[1].noError(f.nodes[1].DeleteFile(context.Background(), gone, store.Act{User: "alice"}))
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
