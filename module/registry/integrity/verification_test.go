package integrity

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestOneReadingForAllWhoWait for one file, and another for who comes later.
func TestOneReadingForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, goOn := newVerifications(2), make(chan struct{})
		var begun atomic.Int32
		verify := func(context.Context) error {
			begun.Add(1)
			<-goOn
			return store.ErrDamaged
		}
		answers := make(chan error, 5)
		for range cap(answers) {
			go func() { answers <- v.wait(t.Context(), "one", verify) }()
		}
		synctest.Wait()
		close(goOn)
		for range cap(answers) {
			if err := <-answers; !errors.Is(err, store.ErrDamaged) {
				t.Errorf("a waiter hears %v", err)
			}
		}
		if begun.Load() != 1 {
			t.Errorf("%d readings", begun.Load())
		}
		if err := v.wait(t.Context(), "one", verify); !errors.Is(err, store.ErrDamaged) || begun.Load() != 2 {
			t.Errorf("who comes later: %v, %d readings", err, begun.Load())
		}
	})
}

// TestAFewFilesAreReadAtATime: the others wait, and those for which nobody waits any
// more are not read.
func TestAFewFilesAreReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, goOn := newVerifications(2), make(chan struct{})
		var running, most, read atomic.Int32
		verify := func(ctx context.Context) error {
			read.Add(1)
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			select {
			case <-goOn:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		gone, leave := context.WithCancel(t.Context())
		answers, refused := make(chan error, 3), make(chan error, 3)
		for _, file := range []store.Locator{"a", "b", "c"} {
			go func() { answers <- v.wait(t.Context(), file, verify) }()
			synctest.Wait()
		}
		for _, file := range []store.Locator{"d", "e", "f"} {
			go func() { refused <- v.wait(gone, file, verify) }()
		}
		synctest.Wait()
		leave()
		for range cap(refused) {
			if err := <-refused; !errors.Is(err, context.Canceled) {
				t.Errorf("a client that is gone: %v", err)
			}
		}
		close(goOn)
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 2 || read.Load() != 3 || len(v.running) != 0 {
			t.Errorf("%d at once, %d read, %d left", most.Load(), read.Load(), len(v.running))
		}
	})
}

// TestAReadingEndsWithItsLastClient, and not before.
func TestAReadingEndsWithItsLastClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifications(1)
		var ended atomic.Bool
		verify := func(ctx context.Context) error {
			<-ctx.Done()
			ended.Store(true)
			return ctx.Err()
		}
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		go func() { _ = v.wait(first, "one", verify) }()
		go func() { _ = v.wait(second, "one", verify) }()
		synctest.Wait()
		leaveFirst()
		synctest.Wait()
		if ended.Load() {
			t.Error("it ends with the first client")
		}
		leaveSecond()
		synctest.Wait()
		if !ended.Load() {
			t.Error("it goes on without clients")
		}
	})
}
