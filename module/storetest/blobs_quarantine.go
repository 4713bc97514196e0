package storetest

import (
	"bytes"
	"context"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func quarantined(f *blobFixture) {
	ctx := context.Background()
	locator := store.NewLocator(1)
	f.noError(f.Quarantine(ctx, locator)) // absent
	f.put(locator, []byte("damaged"))
	for range 2 {
		f.noError(f.Quarantine(ctx, locator))
		f.wantNothing(locator)
	}
	f.reopen()
	f.wantNothing(locator)
	f.noError(f.Quarantine(ctx, locator))
	f.noError(f.Delete(ctx, locator))
	if got := f.walked(); len(got) > 0 {
		f.Errorf("walked %v", got)
	}
}

func readerOutlivesQuarantine(f *blobFixture) {
	locator := store.NewLocator(1)
	content := pattern(500_000)
	f.put(locator, content)
	reader, err := f.Open(context.Background(), locator, int64(len(content)))
	f.noError(err)
	defer reader.Close()
	f.noError(f.Quarantine(context.Background(), locator))
	f.wantNothing(locator)
	got, err := io.ReadAll(reader)
	f.noError(err)
	if !bytes.Equal(got, content) {
		f.Error("the reader lost the bytes")
	}
}

func quarantineTouchesOne(f *blobFixture) {
	ctx := context.Background()
	damaged, good := store.NewLocator(1), store.NewLocator(1)
	f.put(damaged, []byte("damaged"))
	f.put(good, []byte("good"))
	underWay := store.NewLocator(1)
	w := f.write(underWay, []byte("under way"), -1)
	f.noError(f.Quarantine(ctx, damaged))
	f.commit(w, underWay)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	f.wantError(f.Quarantine(gone, good), context.Canceled)
	f.wantContent(good, []byte("good"))
	f.reopen()
	f.wantNothing(damaged)
	f.wantContent(good, []byte("good"))
	if got := f.walked(); len(got) != 2 {
		f.Errorf("walked %v", got)
	}
}

// quarantinedAtOnce also has two quarantine each blob.
func quarantinedAtOnce(f *blobFixture) {
	locators := make([]store.Locator, 4)
	for i := range locators {
		locators[i] = store.NewLocator(uint64(i%2) * 20_000)
		f.put(locators[i], pattern(i))
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
