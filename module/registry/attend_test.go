package registry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// deafStores do not answer one kind of call before they are let go, whatever becomes of
// its context.
type deafStores struct {
	stubbornStores
	call string
	goOn chan struct{}
}

func (d *deafStores) wait(call string) {
	if call == d.call {
		<-d.goOn
	}
}

func (d *deafStores) Reclaim(ctx context.Context, limit int) ([]store.Locator, error) {
	d.wait("listing condemned blobs")
	return d.stubbornStores.Reclaim(ctx, limit)
}

func (d *deafStores) Grace() time.Duration {
	if d.call == "cleaning up after deletes" { // which only happens where bytes have a grace
		return time.Minute
	}
	return 0
}

func (d *deafStores) CleanUp(context.Context) (more bool, err error) {
	d.wait("cleaning up after deletes")
	return false, nil
}

func (d *deafStores) Bury(ctx context.Context, locators []store.Locator) error {
	d.wait("recording deleted blobs")
	return d.stubbornStores.Bury(ctx, locators)
}

func (d *deafStores) Delete(ctx context.Context, locator store.Locator) error {
	d.wait("deleting a blob")
	return nil
}

func (d *deafStores) Unnamed(ctx context.Context, locators []store.Locator) ([]store.Locator, error) {
	d.wait("looking for unnamed blobs")
	return nil, nil
}

func (d *deafStores) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	d.wait("walking blobs")
	return d.stubbornStores.Walk(ctx, fn)
}

func (d *deafStores) Sessions(context.Context) ([]store.Session, error) {
	d.wait("reading uploads")
	return nil, nil
}

func (d *deafStores) PurgeQuarantine(context.Context, time.Time, int) (int, error) {
	d.wait("deleting from the quarantine")
	return 0, nil
}

func (d *deafStores) Blobs(context.Context, store.Digest, int) ([]store.Blob, error) {
	d.wait("listing blobs")
	return nil, nil
}

func (d *deafStores) Damaged(context.Context, int) (int64, []store.Digest, error) {
	d.wait("counting damaged blobs")
	return 0, nil, nil
}

// TestACallThatHangsInTheBackgroundIsTold after a minute, by its name, and so is its end.
// Seen to fail, for each call, with a waiting.Attend that tells nothing.
func TestACallThatHangsInTheBackgroundIsTold(t *testing.T) {
	for _, call := range []string{
		"listing condemned blobs", "recording deleted blobs", "deleting a blob", "looking for unnamed blobs",
		"cleaning up after deletes", "walking blobs", "reading uploads", "deleting from the quarantine", "listing blobs", "counting damaged blobs",
	} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &deafStores{call: call, goOn: make(chan struct{})}
				d.condemned = []store.Locator{"condemned"}
				d.unnamed = []store.Locator{"old"}
				log := new(lockedText)
				opened := make(chan *Registry, 1)
				go func() { opened <- New(d, d, Options{Log: slog.New(slog.NewTextHandler(log, nil))}) }()
				wantTold := func(when string, want int, message string) {
					t.Helper()
					synctest.Wait()
					if got := strings.Count(log.String(), `msg="`+message+`" call="`+call+`"`); got != want {
						t.Errorf("%s it is told %d times, want %d:\n%s", when, got, want, log)
					}
				}
				const hangs, ended = "a store does not answer; calls that wait for it do not go on", "the store has answered"
				time.Sleep(waiting.Timeout - 1)
				wantTold("before a minute", 0, hangs)
				time.Sleep(time.Nanosecond)
				wantTold("after a minute", 1, hangs)
				time.Sleep(10 * waiting.Timeout)
				wantTold("later", 1, hangs)
				wantTold("later", 0, ended)
				close(d.goOn)
				wantTold("when it ended,", 1, ended)
				if err := (<-opened).Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// lockedText is a text that several goroutines write.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
