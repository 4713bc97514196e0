package pool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

func configOf(b *memory.Backend, log *slog.Logger) *Config {
	return &Config{Metadata: b, Blobs: b, Log: zap.NewNop(), StoreLog: log}
}

// testStartWait is how long a start of a test waits.
const testStartWait = 10 * time.Second

var (
	testRef  = store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: "f"}
	quietLog = slog.New(slog.DiscardHandler)
	testKey  = Key{Metadata: "m", Blobs: "b"}
)

func mustTake(t *testing.T, p *Pool) *entry {
	t.Helper()
	e, err := p.take(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStoreStaysOpenUntilTheLastUserLeaves(t *testing.T) {
	p, backend := New(), memory.NewBackend()
	first := mustTake(t, p)
	if err := first.start(t.Context(), configOf(backend, quietLog)); err != nil {
		t.Fatal(err)
	}
	second := mustTake(t, p) // the next configuration
	if err := second.start(t.Context(), configOf(backend, quietLog)); err != nil {
		t.Fatal(err)
	}
	request := p.join(testKey)
	p.leave(first)
	p.leave(second)
	reg, err := request.wait(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Lookup(t.Context(), testRef); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("the request's store is closed: %v", err)
	}
	p.leave(request)
	if _, err := reg.Lookup(t.Context(), testRef); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the store is still open: %v", err)
	}
	if got := backend.Opened.Load(); got != 1 {
		t.Errorf("opened %d times", got)
	}
	if got := backend.Adjusted.Load(); got != 1 {
		t.Errorf("adjusted %d times", got)
	}
	if p.join(testKey) != nil || len(p.entries) > 0 || len(p.closing) > 0 {
		t.Error("the pool still knows the store")
	}
}

func TestReopeningWaitsForTheClose(t *testing.T) {
	p, backend := New(), memory.NewBackend()
	var users sync.WaitGroup
	for range 50 { // ErrLocked if any two overlap
		users.Go(func() {
			e, err := p.take(testKey)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.leave(e)
			config := configOf(backend, quietLog)
			defer e.retire(config)
			if err := e.start(t.Context(), config); err != nil {
				t.Error(err)
			}
		})
	}
	users.Wait()
}

func TestHalfOfAnotherStoreIsRefused(t *testing.T) {
	p := New()
	e := mustTake(t, p)
	for _, key := range []Key{{Metadata: "m", Blobs: "other"}, {Metadata: "other", Blobs: "b"}} {
		if _, err := p.take(key); !errors.Is(err, store.ErrMismatch) {
			t.Errorf("%v: error is %v", key, err)
		}
	}
	other, err := p.take(Key{Metadata: "other", Blobs: "other"})
	if err != nil {
		t.Fatal(err)
	}
	p.leave(other)
	p.leave(e)
	if _, err := p.take(Key{Metadata: "m", Blobs: "other"}); err != nil {
		t.Errorf("after the store is closed: %v", err)
	}
}

// TestConfigurationFaultFailsTheStart: whoever starts hears of it, and the log does not.
// The log does when nobody waits for the start any more.
func TestConfigurationFaultFailsTheStart(t *testing.T) {
	for _, test := range []struct {
		name   string
		slow   time.Duration
		want   error
		logged bool
	}{
		{"at once", 0, store.ErrLocked, false},
		{"after the start has given up", 2 * testStartWait, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, backend := New(), memory.NewBackend()
				backend.Slow = test.slow
				backend.Fail(store.ErrLocked)
				e := mustTake(t, p)
				var log logText
				ctx, cancel := context.WithTimeout(t.Context(), testStartWait)
				defer cancel()
				if err := e.start(ctx, configOf(backend, slog.New(slog.NewTextHandler(&log, nil)))); !errors.Is(err, test.want) {
					t.Errorf("the start returns %v, want %v", err, test.want)
				}
				time.Sleep(test.slow)
				synctest.Wait()
				if got := strings.Contains(log.String(), "the store is not available"); got != test.logged {
					t.Errorf("whether it is logged: got %t, want %t: %s", got, test.logged, log.String())
				}
				p.leave(e)
			})
		})
	}
}

func TestStateFaultPassesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := New(), memory.NewBackend()
		backend.Fail(store.ErrNoSpace)
		e := mustTake(t, p)
		if err := e.start(t.Context(), configOf(backend, quietLog)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.wait(t.Context(), time.Second); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("requests see %v", err)
		}
		<-time.After(3 * RetryInterval)
		if _, err := e.wait(t.Context(), time.Second); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("requests see %v", err)
		}
		backend.Fail(nil)
		<-time.After(longestRetry)
		if reg, err := e.wait(t.Context(), time.Second); err != nil || reg == nil {
			t.Errorf("requests see %v", err)
		}
		p.leave(e)
	})
}

func TestClosingEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
		p, backend := New(), memory.NewBackend()
		backend.Fail(store.ErrDamaged)
		e := mustTake(t, p)
		if err := e.start(t.Context(), configOf(backend, quietLog)); err != nil {
			t.Fatal(err)
		}
		p.leave(e)
	})
}

func TestRequestBeforeStartWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := New(), memory.NewBackend()
		e := mustTake(t, p)
		if _, err := e.wait(t.Context(), openWait); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("after the wait: %v", err)
		}
		answered := make(chan error, 1)
		go func() {
			_, err := e.wait(t.Context(), openWait)
			answered <- err
		}()
		synctest.Wait()
		if err := e.start(t.Context(), configOf(backend, quietLog)); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
		p.leave(e)
	})
}

// logText is a log that the background of a store may be writing while a test reads it.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestRejectedReloadGivesSettingsBack: a configuration that started this store but
// failed elsewhere leaves; the one that serves on has its settings again.
func TestRejectedReloadGivesSettingsBack(t *testing.T) {
	p := New()
	old, rejected := memory.NewBackend(), memory.NewBackend()
	var oldLog, rejectedLog logText
	oldConfig := configOf(old, slog.New(slog.NewTextHandler(&oldLog, nil)))
	rejectedConfig := configOf(rejected, slog.New(slog.NewTextHandler(&rejectedLog, nil)))
	e := mustTake(t, p)
	if err := e.start(t.Context(), oldConfig); err != nil {
		t.Fatal(err)
	}
	again := mustTake(t, p)
	log := e.log.logger().With(slog.String("a", "b")).WithGroup("g")
	if err := again.start(t.Context(), rejectedConfig); err != nil {
		t.Fatal(err)
	}
	log.Info("while both are there", slog.Int("n", 1))
	again.retire(rejectedConfig)
	p.leave(again)
	log.Info("after the rejection", slog.Int("n", 2))
	if rejected.Adjusted.Load() != 1 || old.Adjusted.Load() != 1 {
		t.Errorf("adjusted by the rejected one %d times, by the old one %d times", rejected.Adjusted.Load(), old.Adjusted.Load())
	}
	if !strings.Contains(rejectedLog.String(), `msg="while both are there" a=b g.n=1`) || strings.Contains(rejectedLog.String(), "after") {
		t.Errorf("the rejected one logged %q", rejectedLog.String())
	}
	if !strings.Contains(oldLog.String(), `msg="after the rejection" a=b g.n=2`) {
		t.Errorf("the old one logged %q", oldLog.String())
	}
	e.retire(oldConfig)
	p.leave(e)
}

func TestLogBeforeAnyConfigurationIsDropped(t *testing.T) {
	var log liveLog
	log.logger().Error("nobody listens")
	var text strings.Builder
	log.set(slog.New(slog.NewTextHandler(&text, nil)))
	log.logger().Error("somebody listens")
	if strings.Contains(text.String(), "nobody") || !strings.Contains(text.String(), "somebody") {
		t.Errorf("logged %q", text.String())
	}
}

// TestBlobsOfAnotherRegistryAreLeftAlone: new metadata over old blobs would sweep
// every one of them.
func TestBlobsOfAnotherRegistryAreLeftAlone(t *testing.T) {
	p, backend := New(), memory.NewBackend()
	e := mustTake(t, p)
	if err := e.start(t.Context(), configOf(backend, quietLog)); err != nil {
		t.Fatal(err)
	}
	p.leave(e)
	backend.Metadata = memory.NewMetadata()
	e = mustTake(t, p)
	if err := e.start(t.Context(), configOf(backend, quietLog)); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("error is %v", err)
	}
	p.leave(e)
	for _, open := range []func() error{
		func() error { metadata, err := backend.Metadata.Open(); return errors.Join(err, closeOf(metadata)) },
		func() error { blobs, err := backend.Blobs.Open(); return errors.Join(err, closeOf(blobs)) },
	} {
		if err := open(); err != nil {
			t.Errorf("it was left open: %v", err)
		}
	}
}

func closeOf(store io.Closer) error { return store.Close() }

// TestScrubRateOfTheLatestConfiguration: a reload changes it without reopening, and
// one that is rejected gives it back.
func TestScrubRateOfTheLatestConfiguration(t *testing.T) {
	p, backend := New(), memory.NewBackend()
	e := mustTake(t, p)
	defer p.leave(e)
	rate := func() int64 { return e.state.Load().registry.Health().Scrub.Rate }
	var configs []*Config
	for _, step := range []struct{ set, want int64 }{{0, integrity.DefaultScrubRate}, {1 << 20, 1 << 20}, {-1, 0}} {
		config := configOf(backend, quietLog)
		config.ScrubRate = step.set
		if err := e.start(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		if got := rate(); got != step.want {
			t.Errorf("with %d the rate is %d, want %d", step.set, got, step.want)
		}
		configs = append(configs, config)
	}
	e.retire(configs[2])
	if got := rate(); got != 1<<20 {
		t.Errorf("given back: %d", got)
	}
	if got := backend.Opened.Load(); got != 1 {
		t.Errorf("opened %d times", got)
	}
}

// TestAnOpeningThatTakesLong goes on behind a start that does not wait for it: requests
// hear at once how far it is, a reload works, and in the end all get the store.
func TestAnOpeningThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := New(), memory.NewBackend()
		backend.Slow, backend.Says = 10*time.Minute, "making the database anew: 35 %"
		start := func() (*entry, *Config) {
			e, config := mustTake(t, p), configOf(backend, quietLog)
			ctx, cancel := context.WithTimeout(t.Context(), testStartWait)
			defer cancel()
			began := time.Now()
			if err := e.start(ctx, config); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > testStartWait {
				t.Errorf("the start took %s, want at most %s", took, testStartWait)
			}
			return e, config
		}
		wantOpening := func(e *entry) {
			began := time.Now()
			_, err := e.wait(t.Context(), openWait)
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), backend.Says) || time.Since(began) > 0 {
				t.Errorf("a request hears %v after %s", err, time.Since(began))
			}
			if _, err := e.health(); err == nil || !strings.Contains(err.Error(), backend.Says) {
				t.Errorf("health says %v", err)
			}
		}
		old, oldConfig := start()
		wantOpening(old)
		e, _ := start() // a reload
		wantOpening(e)
		old.retire(oldConfig)
		p.leave(old)
		time.Sleep(backend.Slow)
		synctest.Wait()
		if reg, err := e.wait(t.Context(), time.Second); err != nil || reg == nil {
			t.Errorf("requests see %v", err)
		}
		if got := backend.Opened.Load(); got != 1 {
			t.Errorf("it was opened %d times", got)
		}
		p.leave(e)
	})
}

// TestAStopDoesNotWaitForAnOpeningThatHangs, and who opens the store next waits for that
// one to end.
func TestAStopDoesNotWaitForAnOpeningThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := New(), memory.NewBackend()
		backend.Slow, backend.Deaf = 10*time.Minute, true
		e := mustTake(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), testStartWait)
		defer cancel()
		if err := e.start(ctx, configOf(backend, quietLog)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.leave(e)
		if took := time.Since(began); took > closeWait {
			t.Errorf("the stop took %s, want at most %s", took, closeWait)
		}
		next := mustTake(t, p)
		ctx, cancel = context.WithTimeout(t.Context(), testStartWait)
		defer cancel()
		if err := next.start(ctx, configOf(backend, quietLog)); err != nil {
			t.Fatal(err)
		}
		if got := backend.Opened.Load(); got != 0 {
			t.Errorf("it is open %d times while another opening hangs", got)
		}
		time.Sleep(3 * backend.Slow)
		synctest.Wait()
		if _, err := next.wait(t.Context(), time.Second); err != nil {
			t.Errorf("requests see %v", err)
		}
		p.leave(next)
	})
}
