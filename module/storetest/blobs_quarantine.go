package storetest

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func quarantined(f *blobFixture) {
	ctx := context.Background()
	f.noError(f.Quarantine(ctx, store.NewLocator(1))) // absent
	locators := []store.Locator{f.put([]byte("damaged")), f.put(pattern(300_000))}
	for _, locator := range locators {
		for range 2 {
			f.noError(f.Quarantine(ctx, locator))
			f.wantNothing(locator)
		}
	}
	f.reopen()
	for _, locator := range locators {
		f.wantNothing(locator)
		f.noError(f.Quarantine(ctx, locator))
		f.noError(f.Delete(ctx, locator))
	}
	f.wantWalked(0)
}

func readerOutlivesQuarantine(f *blobFixture) { f.readerKeeps(f.Quarantine) }

func quarantineTouchesOne(f *blobFixture) {
	ctx := context.Background()
	damaged, good := f.put([]byte("damaged")), f.put([]byte("good"))
	writers := []store.BlobWriter{f.write([]byte("in progress"), -1), f.write([]byte("in progress"), 11)}
	f.noError(f.Quarantine(ctx, damaged))
	for _, w := range writers {
		f.commit(w)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	f.wantError(f.Quarantine(gone, good), context.Canceled)
	f.wantContent(good, []byte("good"))
	f.reopen()
	f.wantNothing(damaged)
	f.wantContent(good, []byte("good"))
	f.wantWalked(3)
}

// quarantinedAtOnce also has two quarantine each blob.
func quarantinedAtOnce(f *blobFixture) {
	locators := make([]store.Locator, 4)
	for i := range locators {
		locators[i] = f.put(pattern(i%2*100_000 + i))
	}
	inParallel(8, func(i int) {
		if err := f.Quarantine(context.Background(), locators[i%4]); err != nil {
			f.Errorf("quarantining: %v", err)
		}
	})
	for _, locator := range locators {
		f.wantNothing(locator)
	}
}
