package integrity_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const mib = 1 << 20

// TestScrubKeepsItsRate: evenly, in every second of the pass.
// Seen to fail with a scrub that forgets its rate.
func TestScrubKeepsItsRate(t *testing.T) {
	for _, rate := range []int64{mib, 0} {
		inBubble(t, func(f *fixture) {
			f.publishMany(8, 2*mib)
			f.publish("small", []byte("x"))
			f.SetScrub(rate)
			f.pass(time.Minute)
			if rate == 0 {
				rate = integrity.DefaultScrubRate
			}
			inSecond := make(map[int64]int64)
			first := f.blobs.reads[0].at
			for _, r := range f.blobs.reads {
				inSecond[int64(r.at.Sub(first)/time.Second)] += int64(r.bytes)
			}
			const piece = 256 << 10
			for second := range int64(16*mib) / rate {
				if got := inSecond[second]; got < rate-2*piece || got > rate+2*piece {
					f.Errorf("at %d bytes a second, %d were read in second %d", rate, got, second)
				}
			}
			if scrub := f.Health().Scrub; scrub.Finished.IsZero() || scrub.Bytes != 16*mib+1 || scrub.TotalBytes != scrub.Bytes || scrub.TotalBlobs != 9 {
				f.Errorf("the scrub is %+v", scrub)
			}
		})
	}
}

// TestSmallBlobsCountForMore: a disk has to seek for each.
func TestSmallBlobsCountForMore(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.publishMany(640, 8)
		f.SetScrub(mib) // 16 of 64 KiB a second, after 256 looks of 4 KiB a second
		f.pass(30 * time.Second)
		if got := f.Health().Scrub.Blobs; got < 400 || got > 480 {
			f.Errorf("%d blobs were read", got)
		}
	})
}

// TestScrubChangesAtOnce from a rate at which it would take years, and off and on.
func TestScrubChangesAtOnce(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.publishMany(4, mib)
		f.SetScrub(1)
		f.pass(time.Second)
		f.SetScrub(mib)
		f.pass(2 * time.Second)
		if scrub := f.Health().Scrub; !scrub.Reading || scrub.Blobs == 0 || scrub.Rate != mib {
			f.Errorf("the scrub is %+v", scrub)
		}
		f.SetScrub(off)
		f.pass(0)
		before, _ := f.blobs.seen()
		f.pass(time.Hour)
		after, _ := f.blobs.seen()
		if scrub := f.Health().Scrub; scrub.Reading || scrub.Rate != 0 || !scrub.Finished.IsZero() || len(after) != len(before) {
			f.Errorf("the scrub is off, and %+v", scrub)
		}
		f.SetScrub(100 * mib)
		f.pass(time.Second)
		if scrub := f.Health().Scrub; scrub.Finished.IsZero() || scrub.Blobs != 4 {
			f.Errorf("the scrub is %+v", scrub)
		}
	})
}

// TestScrubGoesOn after the last blob that a restart did not keep it from, and is
// due a week after its start.
func TestScrubGoesOn(t *testing.T) {
	inBubble(t, func(f *fixture) {
		const size = mib / 4
		f.publishMany(16, size)
		began := time.Now()
		f.SetScrub(size)
		f.pass(5500 * time.Millisecond)
		f.restart(size)
		f.pass(5 * time.Second)
		f.restart(size)
		f.pass(time.Minute)
		scrub := f.Health().Scrub
		if scrub.Blobs != 16 || scrub.Bytes != 16*size || scrub.Finished.IsZero() || scrub.Started.Sub(began) > time.Second {
			f.Errorf("the scrub is %+v", scrub)
		}
		first, _ := f.blobs.seen()
		if again := repeats(first); again > 2 {
			f.Errorf("%d blobs were read again", again)
		}

		f.pass(week - time.Minute - 30*time.Second)
		f.restart(size)
		f.pass(2 * time.Second)
		if early, _ := f.blobs.seen(); len(early) != len(first) {
			f.Error("the next scrub came too early")
		}
		f.pass(time.Hour)
		if both, _ := f.blobs.seen(); len(both) != len(first)+16 {
			f.Errorf("%d blobs were opened in the first scrub, %d with the next", len(first), len(both))
		}
	})
}

func repeats(locators []store.Locator) int {
	unique := slices.Compact(slices.Sorted(slices.Values(locators)))
	return len(locators) - len(unique)
}

// TestProgressIsSaved each minute and every 1,000 blobs: a crash costs no more.
// Seen to fail with a scrub that forgets how far it came.
func TestProgressIsSaved(t *testing.T) {
	saved := func(f *fixture) store.Scrub {
		scrub, err := f.metadata.LastScrub(f.Context())
		f.Check(err)
		return scrub
	}
	inBubble(t, func(f *fixture) {
		f.publishMany(100, mib/16)
		f.SetScrub(mib / 16)
		f.pass(59 * time.Second)
		if scrub := saved(f); !scrub.Started.IsZero() {
			f.Errorf("saved after less than a minute: %+v", scrub)
		}
		f.pass(5 * time.Second)
		scrub := saved(f)
		if scrub.Blobs < 55 || scrub.Blobs > 65 || scrub.Last == (store.Digest{}) || !scrub.Finished.IsZero() {
			f.Errorf("saved after a minute: %+v", scrub)
		}
		f.pass(time.Minute)
		if scrub := saved(f); scrub.Blobs != 100 || scrub.Finished.IsZero() {
			f.Errorf("saved at the end: %+v", scrub)
		}
	})
	inBubble(t, func(f *fixture) {
		f.publishMany(1500, 8)
		f.SetScrub(100 * mib)
		f.pass(850 * time.Millisecond)
		if scrub := saved(f); scrub.Blobs != 1000 {
			f.Errorf("saved: %+v, of %+v", scrub, f.Health().Scrub)
		}
	})
}

// TestScrubSurvivesTheClock when it jumps by years, either way.
func TestScrubSurvivesTheClock(t *testing.T) {
	inBubble(t, func(f *fixture) {
		var jump atomic.Int64
		f.Check(f.Registry.Close()) // whose background work reads the clock
		f.clock = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		f.open(off)
		f.publishMany(3, 8)
		f.SetScrub(0)
		passes := func() int { opened, _ := f.blobs.seen(); return len(opened) / 3 }
		for _, step := range []struct {
			jump time.Duration
			want int
		}{
			{0, 1}, {10 * 365 * 24 * time.Hour, 2}, {-10 * 365 * 24 * time.Hour, 3}, {-10 * 365 * 24 * time.Hour, 3},
		} {
			jump.Store(int64(step.jump))
			f.pass(2 * time.Hour)
			if passes() != step.want {
				f.Errorf("with a clock that is %v off there were %d passes, want %d", step.jump, passes(), step.want)
			}
		}
	})
}

// TestScrubWaitsForItsStore: listing that fails is told once, and tried again.
func TestScrubWaitsForItsStore(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.publishMany(3, 8)
		f.Check(f.Registry.Close())
		metadata, err := f.metadataPlace.Open()
		f.Check(err)
		f.blobs.BlobStore, err = f.blobPlace.Open()
		f.Check(err)
		faulty := &faultyMetadata{MetadataStore: metadata}
		faulty.failing.Store(true)
		f.openWith(faulty, 0)
		f.pass(5 * time.Minute)
		if fault := f.Health().Scrub.Fault; !errors.Is(fault, store.ErrUnavailable) || f.log.count("level=ERROR") != 1 {
			f.Errorf("the fault is %v, logged:\n%s", fault, f.log.text.String())
		}
		faulty.failing.Store(false)
		f.pass(2 * time.Minute)
		if scrub := f.Health().Scrub; scrub.Fault != nil || scrub.Blobs != 3 {
			f.Errorf("the scrub is %+v", scrub)
		}
	})
}

// faultyMetadata cannot list blobs.
type faultyMetadata struct {
	store.MetadataStore
	failing atomic.Bool
}

func (m *faultyMetadata) Blobs(ctx context.Context, after store.Digest, limit int) ([]store.Blob, error) {
	if m.failing.Load() {
		return nil, store.ErrUnavailable
	}
	return m.MetadataStore.Blobs(ctx, after, limit)
}
