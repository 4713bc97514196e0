package rounds_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
)

var errWork = errors.New("the work failed")

// TestThoseWhoWaitShareARound: what comes while a round is in progress is in the next one,
// and an error is of one round alone. Seen to fail with a round that is closed after its work
// (the second item is in the first round), and with one that is never closed.
func TestThoseWhoWaitShareARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, end := make(chan []int), make(chan error)
		shared := rounds.New(0, func(items []int) error {
			began <- items
			return <-end
		})
		errs := make([]error, 4)
		join := func(item int) {
			go func() { errs[item] = shared.Join(context.Background(), item) }()
			synctest.Wait()
		}
		join(0)
		if got := <-began; !slices.Equal(got, []int{0}) {
			t.Errorf("the first round has %v, want the item 0", got)
		}
		for item := 1; item < 4; item++ {
			join(item)
		}
		if got := shared.Waiting(); got != 3 {
			t.Errorf("%d wait, want 3", got)
		}
		end <- errWork
		if got := <-began; !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("the second round has %v, want the items 1, 2 and 3", got)
		}
		end <- nil
		synctest.Wait()
		for item, err := range errs {
			if failed := errors.Is(err, errWork); failed != (item == 0) {
				t.Errorf("the item %d gets %v, want an error for the item 0 alone", item, err)
			}
		}
	})
}

// TestARoundHasAtMostSoManyItems: the last of three rounds takes an item that comes while the
// first is in progress. Seen to fail with a first round that closes the last one as well.
func TestARoundHasAtMostSoManyItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		end := make(chan struct{})
		shared := rounds.New(2, func(items []int) error {
			sizes = append(sizes, len(items))
			<-end
			return nil
		})
		resume := shared.Pause()
		for item := range 5 {
			go shared.Join(context.Background(), item)
			synctest.Wait()
		}
		resume()
		synctest.Wait()
		go shared.Join(context.Background(), 5)
		synctest.Wait()
		close(end)
		synctest.Wait()
		if !slices.Equal(sizes, []int{2, 2, 2}) {
			t.Errorf("the rounds have %v items, want 2, 2 and 2", sizes)
		}
	})
}

// TestAContextThatEnds takes its item out of the round that gathers, so that what nobody waits
// for takes no memory. An item whose round has begun is done.
// Seen to fail with an item that stays, and with one that leaves a round in progress.
func TestAContextThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done [][]int
		end := make(chan struct{})
		shared := rounds.New(0, func(items []int) error {
			done = append(done, items)
			<-end
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 3)
		join := func(ctx context.Context, item int) {
			go func() { gone <- shared.Join(ctx, item) }()
			synctest.Wait()
		}
		join(ctx, 0) // in a round of its own, which has begun
		join(ctx, 1)
		join(t.Context(), 2)
		cancel()
		for range 2 {
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("a caller whose context has ended gets %v", err)
			}
		}
		close(end)
		if err := <-gone; err != nil {
			t.Errorf("a caller whose context lasts gets %v", err)
		}
		if want := [][]int{{0}, {2}}; !slices.EqualFunc(done, want, slices.Equal) {
			t.Errorf("done in rounds of %v, want %v", done, want)
		}
		resume := shared.Pause()
		alone, cancelAlone := context.WithCancel(t.Context())
		join(alone, 3)
		cancelAlone()
		synctest.Wait()
		resume()
		synctest.Wait()
		if len(done) != 2 {
			t.Errorf("work was done in %d rounds, want none for a round that everybody has left", len(done))
		}
	})
}

// TestAContextThatEndsDuringTheWork: the work may put its items into another order, and nobody
// else looks at them meanwhile. Seen to fail, with the race detector, with a caller that looks
// for its item before it looks whether the round has begun.
func TestAContextThatEndsDuringTheWork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, gone := make(chan struct{}), make(chan struct{})
	shared := rounds.New(0, func(items []int) error {
		close(began)
		for {
			select {
			case <-gone:
				return nil
			default:
				slices.Reverse(items)
			}
		}
	})
	resume := shared.Pause()
	var callers sync.WaitGroup
	for item := range 2 {
		callers.Go(func() {
			if err := shared.Join(ctx, item); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller whose context has ended gets %v, want %v", err, context.Canceled)
			}
		})
	}
	for shared.Waiting() < 2 {
		runtime.Gosched()
	}
	resume()
	<-began
	cancel()
	callers.Wait()
	close(gone)
	shared.Pause()() // the round has ended
}

// TestRoundsAreBoundedByWeight, and are done in the order in which they were begun.
// Seen to fail with rounds bounded by their number of items, and with rounds that do not wait for
// the one before.
func TestRoundsAreBoundedByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]int
		shared := rounds.Weighed(10, func(item int) int { return item }, func(items []int) error {
			got = append(got, slices.Clone(items))
			return nil
		})
		resume := shared.Pause()
		for _, item := range []int{4, 6, 1, 20, 9, 1, 1} {
			shared.Add(item)
		}
		if n := shared.Waiting(); n != 7 {
			t.Errorf("%d items wait, want 7", n)
		}
		resume()
		shared.Drain()
		if want := [][]int{{4, 6}, {1}, {20}, {9, 1}, {1}}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the rounds have the items %v, want %v", got, want)
		}
		if n := shared.Waiting(); n != 0 {
			t.Errorf("%d items wait, want none", n)
		}
	})
}

// TestWhoLeavesTakesTheirWeight with them: another item has room in the round, and nobody waits.
// Seen to fail with a weight that stays.
func TestWhoLeavesTakesTheirWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		shared := rounds.Weighed(10, func(item int) int { return item }, func(items []int) error {
			got = append(got, len(items))
			return nil
		})
		resume := shared.Pause()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		shared.Add(1)
		if err := shared.Join(ctx, 9); !errors.Is(err, context.Canceled) {
			t.Errorf("who has left gets %v, want %v", err, context.Canceled)
		}
		shared.Add(8)
		if n := shared.Waiting(); n != 2 {
			t.Errorf("%d items wait, want 2", n)
		}
		resume()
		shared.Drain()
		if !slices.Equal(got, []int{2}) {
			t.Errorf("the rounds have %v items, want one of 2", got)
		}
	})
}

// TestDrainWaitsForAll that were added before, and for nothing when none was.
// Seen to fail with a wait for the round in progress.
func TestDrainWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, end := make(chan struct{}, 2), make(chan struct{})
		shared := rounds.New(1, func([]int) error {
			began <- struct{}{}
			<-end
			return nil
		})
		shared.Drain()
		shared.Add(1)
		<-began
		shared.Add(2)
		drained := false
		go func() { shared.Drain(); drained = true }()
		synctest.Wait()
		end <- struct{}{}
		synctest.Wait()
		if drained {
			t.Error("drained while the second round is in progress")
		}
		end <- struct{}{}
		synctest.Wait()
		if !drained {
			t.Error("not drained when all rounds have ended")
		}
	})
}
