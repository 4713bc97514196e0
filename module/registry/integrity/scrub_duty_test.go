package integrity_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// duties are who does what until when.
type duties struct {
	mu    sync.Mutex
	taken map[string]duty
}

type duty struct {
	node  string
	until time.Time
}

// sharedMetadata is a store in memory as several processes have it open.
type sharedMetadata struct {
	store.MetadataStore
	*duties
}

func (sharedMetadata) Close() error { return nil }

func (sharedMetadata) Meet(_ context.Context, name, rules string) ([]store.Node, time.Duration, error) {
	return []store.Node{{Name: name, Rules: rules, IsSelf: true}}, 0, nil
}

func (sharedMetadata) Present(context.Context) ([]store.Node, error) { return nil, nil }

func (d *duties) TakeDuty(_ context.Context, node, name string, lease time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if held := d.taken[name]; held.node != node && held.until.After(time.Now()) {
		return false, nil
	}
	d.taken[name] = duty{node, time.Now().Add(lease)}
	return true, nil
}

type sharedBlobs struct{ *brittleBlobs }

func (sharedBlobs) Close() error { return nil }

// join opens the stores in one more process, which scrubs.
func (f *fixture) join(among *duties, node string, rate int64) *registry.Registry {
	return registry.New(sharedMetadata{f.metadata, among}, sharedBlobs{f.blobs}, registry.Options{
		Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: func() time.Time { return f.clock() }, Node: node, ScrubRate: rate,
	})
}

// wantOpened wants each file to have been opened so often since a number of openings.
func (f *fixture) wantOpened(since int, files []store.File, want int) {
	f.Helper()
	opened, _ := f.blobs.seen()
	counts := make(map[store.Locator]int)
	for _, locator := range opened[since:] {
		counts[locator]++
	}
	for _, file := range files {
		if got := counts[file.Locator]; got != want {
			f.Errorf("%s was read %d times, want %d", file.Ref.File, got, want)
		}
	}
}

// TestOneNodeScrubs: of three processes that share their stores one reads each blob, once a week.
// The largest takes longer than the duty lasts without a word.
//
// Seen to fail with a duty that is taken again between two blobs only, and with processes that
// believe what they knew of the last scrub.
func TestOneNodeScrubs(t *testing.T) {
	inBubble(t, func(f *fixture) {
		files := append(f.publishMany(3, 1000), f.publish("large", contentOf(9, 300_000)))
		before, _ := f.blobs.seen()
		among := &duties{taken: make(map[string]duty)}
		ctx, stop := context.WithCancel(f.Context())
		var scrubbing sync.WaitGroup
		for _, node := range []string{"a", "b", "c"} {
			k := integrity.NewKeeper(f.metadata, f.blobs, time.Now, slog.New(slog.DiscardHandler), 200) // 25 minutes for the large one
			k.ScrubAlone(func(ctx context.Context) (bool, error) { return among.TakeDuty(ctx, node, "scrub", 10*time.Minute) })
			scrubbing.Go(func() { k.Run(ctx) })
		}
		f.pass(24 * time.Hour)
		f.wantOpened(len(before), files, 1)
		f.pass(week)
		f.wantOpened(len(before), files, 2)
		stop()
		scrubbing.Wait()
	})
}

// TestAnotherNodeScrubsOn when the one that did has ended: from where that one was. Seen to fail
// with registries that all scrub.
func TestAnotherNodeScrubsOn(t *testing.T) {
	inBubble(t, func(f *fixture) {
		files := f.publishMany(6, 1000)
		before, _ := f.blobs.seen()
		among := &duties{taken: make(map[string]duty)}
		first := f.join(among, "a", 200)
		synctest.Wait()
		second := f.join(among, "b", 200)
		defer func() { f.Check(second.Close()) }()
		f.pass(20 * time.Minute)
		if scrub := first.Health().Scrub; scrub.Blobs == 0 || !scrub.Finished.IsZero() {
			f.Fatalf("the scrub of the first node is %+v, want one in progress", scrub)
		}
		read := first.Health().Scrub.Blobs
		f.Check(first.Close())
		f.pass(24 * time.Hour)
		if scrub := second.Health().Scrub; scrub.Blobs != int64(len(files)) || scrub.Finished.IsZero() {
			f.Errorf("the scrub is %+v, want %d blobs", scrub, len(files))
		}
		opened, _ := f.blobs.seen()
		if got, want := len(opened)-len(before), len(files)+1; got != want { // one was not read to its end
			f.Errorf("%d openings, want %d: the first node had read %d", got, want, read)
		}
	})
}
