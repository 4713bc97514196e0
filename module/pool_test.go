package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// fakeBackend opens stores in memory, or fails as told.
type fakeBackend struct {
	metadata *memory.Metadata
	blobs    *memory.Blobs
	fault    atomic.Pointer[error]
	opened   atomic.Int32
	adjusted atomic.Int32

	slow time.Duration // what opening takes
	deaf bool          // and whether it does not hear of the end of its context
	says string        // meanwhile
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{metadata: memory.NewMetadata(), blobs: memory.NewBlobs()}
}

func (b *fakeBackend) fail(err error) { b.fault.Store(&err) }

func (b *fakeBackend) Identity(root string) string { return root }

func (b *fakeBackend) OpenMetadata(ctx context.Context, _ string, _ *slog.Logger) (store.MetadataStore, error) {
	if b.says != "" {
		store.ReportProgress(ctx, b.says)
	}
	if b.deaf {
		time.Sleep(b.slow)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	select {
	case <-time.After(b.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fault := b.fault.Load(); fault != nil && *fault != nil {
		return nil, *fault
	}
	b.opened.Add(1)
	return b.metadata.Open()
}

func (b *fakeBackend) OpenBlobs(context.Context, string, *slog.Logger) (store.BlobStore, error) {
	return b.blobs.Open()
}

func (b *fakeBackend) AdjustMetadata(store.MetadataStore) error {
	b.adjusted.Add(1)
	return nil
}

func newPool() *pool {
	return &pool{entries: make(map[storeKey]*entry), closing: make(map[storeKey]<-chan struct{})}
}

func (b *fakeBackend) config(log *slog.Logger) *backends {
	return &backends{metadata: b, blobs: b, log: zap.NewNop(), storeLog: log}
}

var (
	quietLog = slog.New(slog.DiscardHandler)
	testKey  = storeKey{metadata: "m", blobs: "b"}
)

func mustTake(t *testing.T, p *pool) *entry {
	t.Helper()
	e, err := p.take(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStoreStaysOpenUntilTheLastUserLeaves(t *testing.T) {
	p, backend := newPool(), newFakeBackend()
	first := mustTake(t, p)
	if err := first.start(t.Context(), backend.config(quietLog)); err != nil {
		t.Fatal(err)
	}
	second := mustTake(t, p) // the next configuration
	if err := second.start(t.Context(), backend.config(quietLog)); err != nil {
		t.Fatal(err)
	}
	request := p.join(testKey)
	p.leave(first)
	p.leave(second)
	reg, err := request.wait(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Lookup(t.Context(), refOf("o", "p", "1", "f")); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("the request's store is closed: %v", err)
	}
	p.leave(request)
	if _, err := reg.Lookup(t.Context(), refOf("o", "p", "1", "f")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the store is still open: %v", err)
	}
	if got := backend.opened.Load(); got != 1 {
		t.Errorf("opened %d times", got)
	}
	if got := backend.adjusted.Load(); got != 1 {
		t.Errorf("adjusted %d times", got)
	}
	if p.join(testKey) != nil || len(p.entries) > 0 || len(p.closing) > 0 {
		t.Error("the pool still knows the store")
	}
}

func TestReopeningWaitsForTheClose(t *testing.T) {
	p, backend := newPool(), newFakeBackend()
	var users sync.WaitGroup
	for range 50 { // ErrLocked if any two overlap
		users.Go(func() {
			e, err := p.take(testKey)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.leave(e)
			config := backend.config(quietLog)
			defer e.retire(config)
			if err := e.start(t.Context(), config); err != nil {
				t.Error(err)
			}
		})
	}
	users.Wait()
}

func TestHalfOfAnotherStoreIsRefused(t *testing.T) {
	p := newPool()
	e := mustTake(t, p)
	for _, key := range []storeKey{{metadata: "m", blobs: "other"}, {metadata: "other", blobs: "b"}} {
		if _, err := p.take(key); !errors.Is(err, store.ErrMismatch) {
			t.Errorf("%v: error is %v", key, err)
		}
	}
	other, err := p.take(storeKey{metadata: "other", blobs: "other"})
	if err != nil {
		t.Fatal(err)
	}
	p.leave(other)
	p.leave(e)
	if _, err := p.take(storeKey{metadata: "m", blobs: "other"}); err != nil {
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
		{"after the start has given up", 2 * startWait, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, backend := newPool(), newFakeBackend()
				backend.slow = test.slow
				backend.fail(store.ErrLocked)
				e := mustTake(t, p)
				var log logText
				ctx, cancel := context.WithTimeout(t.Context(), startWait)
				defer cancel()
				if err := e.start(ctx, backend.config(slog.New(slog.NewTextHandler(&log, nil)))); !errors.Is(err, test.want) {
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
		p, backend := newPool(), newFakeBackend()
		backend.fail(store.ErrNoSpace)
		e := mustTake(t, p)
		if err := e.start(t.Context(), backend.config(quietLog)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.wait(t.Context(), time.Second); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("requests see %v", err)
		}
		<-time.After(3 * stateRetryInterval)
		if _, err := e.wait(t.Context(), time.Second); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("requests see %v", err)
		}
		backend.fail(nil)
		<-time.After(longestRetry)
		if reg, err := e.wait(t.Context(), time.Second); err != nil || reg == nil {
			t.Errorf("requests see %v", err)
		}
		p.leave(e)
	})
}

func TestClosingEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
		p, backend := newPool(), newFakeBackend()
		backend.fail(store.ErrDamaged)
		e := mustTake(t, p)
		if err := e.start(t.Context(), backend.config(quietLog)); err != nil {
			t.Fatal(err)
		}
		p.leave(e)
	})
}

func TestRequestBeforeStartWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := newPool(), newFakeBackend()
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
		if err := e.start(t.Context(), backend.config(quietLog)); err != nil {
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
	p := newPool()
	old, rejected := newFakeBackend(), newFakeBackend()
	var oldLog, rejectedLog logText
	oldConfig := old.config(slog.New(slog.NewTextHandler(&oldLog, nil)))
	rejectedConfig := rejected.config(slog.New(slog.NewTextHandler(&rejectedLog, nil)))
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
	if rejected.adjusted.Load() != 1 || old.adjusted.Load() != 1 {
		t.Errorf("adjusted by the rejected one %d times, by the old one %d times", rejected.adjusted.Load(), old.adjusted.Load())
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
	p, backend := newPool(), newFakeBackend()
	e := mustTake(t, p)
	if err := e.start(t.Context(), backend.config(quietLog)); err != nil {
		t.Fatal(err)
	}
	p.leave(e)
	backend.metadata = memory.NewMetadata()
	e = mustTake(t, p)
	if err := e.start(t.Context(), backend.config(quietLog)); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("error is %v", err)
	}
	p.leave(e)
	for _, open := range []func() error{
		func() error { metadata, err := backend.metadata.Open(); return errors.Join(err, closeOf(metadata)) },
		func() error { blobs, err := backend.blobs.Open(); return errors.Join(err, closeOf(blobs)) },
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
	p, backend := newPool(), newFakeBackend()
	e := mustTake(t, p)
	defer p.leave(e)
	rate := func() int64 { return e.state.Load().registry.Health().Scrub.Rate }
	var configs []*backends
	for _, step := range []struct{ set, want int64 }{{0, integrity.DefaultScrubRate}, {1 << 20, 1 << 20}, {scrubOff, 0}} {
		config := backend.config(quietLog)
		config.scrubRate = step.set
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
	if got := backend.opened.Load(); got != 1 {
		t.Errorf("opened %d times", got)
	}
}

// TestHandlersOfOneStoreAgree on everything that is the store's.
func TestHandlersOfOneStoreAgree(t *testing.T) {
	app := &App{uses: make(map[storeKey]*use)}
	defer func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	}()
	root := t.TempDir()
	use := func(metadataReserve, blobsReserve, scrubRate int64) error {
		_, err := app.use(root, &badger.Backend{Reserve: metadataReserve}, &filesystem.Backend{Reserve: blobsReserve}, scrubRate)
		return err
	}
	for range 2 {
		if err := use(100, 200, 300); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range [][3]int64{{101, 200, 300}, {100, 201, 300}, {100, 200, 301}, {100, 200, scrubOff}} {
		if err := use(other[0], other[1], other[2]); !errors.Is(err, errContradiction) {
			t.Errorf("%v: error is %v", other, err)
		}
	}
}

// TestAnOpeningThatTakesLong goes on behind a start that does not wait for it: requests
// hear at once how far it is, a reload works, and in the end all get the store.
func TestAnOpeningThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := newPool(), newFakeBackend()
		backend.slow, backend.says = 10*time.Minute, "making the database anew: 35 %"
		start := func() (*entry, *backends) {
			e, config := mustTake(t, p), backend.config(quietLog)
			ctx, cancel := context.WithTimeout(t.Context(), startWait)
			defer cancel()
			began := time.Now()
			if err := e.start(ctx, config); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > startWait {
				t.Errorf("the start took %s, want at most %s", took, startWait)
			}
			return e, config
		}
		wantOpening := func(e *entry) {
			began := time.Now()
			_, err := e.wait(t.Context(), openWait)
			if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), backend.says) || time.Since(began) > 0 {
				t.Errorf("a request hears %v after %s", err, time.Since(began))
			}
			if _, err := e.health(); err == nil || !strings.Contains(err.Error(), backend.says) {
				t.Errorf("health says %v", err)
			}
		}
		old, oldConfig := start()
		wantOpening(old)
		e, _ := start() // a reload
		wantOpening(e)
		old.retire(oldConfig)
		p.leave(old)
		time.Sleep(backend.slow)
		synctest.Wait()
		if reg, err := e.wait(t.Context(), time.Second); err != nil || reg == nil {
			t.Errorf("requests see %v", err)
		}
		if got := backend.opened.Load(); got != 1 {
			t.Errorf("it was opened %d times", got)
		}
		p.leave(e)
	})
}

// TestAStopDoesNotWaitForAnOpeningThatHangs, and who opens the store next waits for that
// one to end.
func TestAStopDoesNotWaitForAnOpeningThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, backend := newPool(), newFakeBackend()
		backend.slow, backend.deaf = 10*time.Minute, true
		e := mustTake(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), startWait)
		defer cancel()
		if err := e.start(ctx, backend.config(quietLog)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.leave(e)
		if took := time.Since(began); took > closeWait {
			t.Errorf("the stop took %s, want at most %s", took, closeWait)
		}
		next := mustTake(t, p)
		ctx, cancel = context.WithTimeout(t.Context(), startWait)
		defer cancel()
		if err := next.start(ctx, backend.config(quietLog)); err != nil {
			t.Fatal(err)
		}
		if got := backend.opened.Load(); got != 0 {
			t.Errorf("it is open %d times while another opening hangs", got)
		}
		time.Sleep(3 * backend.slow)
		synctest.Wait()
		if _, err := next.wait(t.Context(), time.Second); err != nil {
			t.Errorf("requests see %v", err)
		}
		p.leave(next)
	})
}

// TestRetryAfterIsWhenTheStoreIsTriedAgain: it grows with the interval.
func TestRetryAfterIsWhenTheStoreIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{store.ErrUnavailable, "2"},
		{&retried{store.ErrDamaged, longestRetry}, "60"},
		{fmt.Errorf("opening: %w", &retried{store.ErrNoSpace, 4500 * time.Millisecond}), "5"},
	} {
		if got := retryAfter(test.err); got != test.want {
			t.Errorf("%v: Retry-After is %s, want %s", test.err, got, test.want)
		}
	}
}

// TestWhatPassesIsNoConfigurationFault: whatever opening a store says, at any depth.
func TestWhatPassesIsNoConfigurationFault(t *testing.T) {
	at := func(err error) error {
		return fmt.Errorf("opening metadata: %w", errors.Join(errors.New("closing"), &os.PathError{Op: "open", Err: err}))
	}
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, store.ErrNoSpace, store.ErrDamaged, store.ErrUnavailable,
		syscall.EIO, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, syscall.EISDIR,
		errors.New("what nobody thought of"), fmt.Errorf("%w: %w", context.DeadlineExceeded, store.ErrLocked),
	} {
		if !store.IsState(at(err)) {
			t.Errorf("%v fails the start", err)
		}
	}
	for _, err := range []error{store.ErrLocked, store.ErrMismatch, store.ErrFormat, syscall.EACCES, syscall.EPERM, syscall.ENOTDIR} {
		if store.IsState(at(err)) {
			t.Errorf("%v does not fail the start", err)
		}
	}
}
