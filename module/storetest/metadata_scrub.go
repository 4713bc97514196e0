package storetest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// pages takes all blobs in pages of a size, and checks that each page is what the
// contract says.
func (f *metadataFixture) pages(size int) (all []store.Blob) {
	f.Helper()
	var after store.Digest
	for {
		page, err := f.Blobs(context.Background(), after, size)
		f.noError(err)
		if len(page) == 0 {
			return all
		}
		if len(page) > size {
			f.Fatalf("a page of %d, the limit is %d", len(page), size)
		}
		for _, blob := range page {
			if bytes.Compare(blob.Digest[:], after[:]) <= 0 {
				f.Fatalf("%s comes after %s", blob.Digest, after)
			}
			after = blob.Digest
		}
		all = append(all, page...)
	}
}

func inOrder(blobs []store.Blob) []store.Blob {
	return slices.SortedFunc(slices.Values(blobs), func(a, b store.Blob) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
}

func blobsListed(f *metadataFixture) {
	if page, err := f.Blobs(context.Background(), store.Digest{}, 10); err != nil || len(page) > 0 {
		f.Fatalf("an empty store has %v, %v", page, err)
	}
	var want []store.Blob
	for i := range 50 {
		want = append(want, f.mustPublish(ref("a", "p", numbered(i/10), numbered(i)), numbered(i)).Blob)
	}
	want[7] = f.mustPublish(ref("a", "q", "1", "f"), numbered(7)).Blob // known already
	want = inOrder(want)
	for _, size := range []int{1, 7, 50, 51} {
		if got := f.pages(size); !slices.Equal(got, want) {
			f.Errorf("pages of %d: %d blobs differ from the %d published", size, len(got), len(want))
		}
	}
	f.reopen()
	if got := f.pages(7); !slices.Equal(got, want) {
		f.Error("the blobs changed by reopening")
	}
	if page, err := f.Blobs(context.Background(), store.Digest{}, 0); err != nil || len(page) > 0 {
		f.Errorf("a page of nothing has %v, %v", page, err)
	}
	last := want[len(want)-1].Digest
	if page, err := f.Blobs(context.Background(), last, 10); err != nil || len(page) > 0 {
		f.Errorf("after the last come %v, %v", page, err)
	}
}

// blobsAfterChanges: a page begins after a digest that is gone, deleted blobs are
// gone with their last file, a healed one is where its new bytes are.
func blobsAfterChanges(f *metadataFixture) {
	ctx := context.Background()
	var published []store.Blob
	for i := range 6 {
		published = append(published, f.mustPublish(ref("a", "p", numbered(i), "f"), numbered(i)).Blob)
	}
	shared := f.mustPublish(ref("a", "shared", "1", "f"), numbered(0)).Blob
	f.noError(f.DeleteFile(ctx, ref("a", "p", numbered(0), "f"), act))
	f.noError(f.DeleteFile(ctx, ref("a", "p", numbered(1), "f"), act))
	f.noError(f.DeleteVersion(ctx, ref("a", "p", numbered(2), "").VersionRef, act))
	f.drain()
	healed := f.mustPublish(ref("a", "healed", "1", "f"), numbered(3))
	if healed.Locator == published[3].Locator {
		f.Error("the bytes were not replaced")
	}

	left := inOrder([]store.Blob{shared, healed.Blob, published[4], published[5]})
	if got := f.pages(3); !slices.Equal(got, left) {
		f.Errorf("there are %v, want %v", got, left)
	}
	gone := published[1].Digest
	want := slices.DeleteFunc(slices.Clone(left), func(b store.Blob) bool { return bytes.Compare(b.Digest[:], gone[:]) < 0 })
	if got, err := f.Blobs(ctx, gone, 10); err != nil || !slices.Equal(got, want) {
		f.Errorf("after a digest that is gone come %v, %v, want %v", got, err, want)
	}
}

func scrubKept(f *metadataFixture) {
	ctx := context.Background()
	wantScrub := func(want store.Scrub) {
		f.Helper()
		got, err := f.LastScrub(ctx)
		f.noError(err)
		if !got.Started.Equal(want.Started) || !got.Finished.Equal(want.Finished) {
			f.Errorf("from %v to %v, want from %v to %v", got.Started, got.Finished, want.Started, want.Finished)
		}
		got.Started, got.Finished = want.Started, want.Finished
		if got != want {
			f.Errorf("the scrub is %+v, want %+v", got, want)
		}
	}
	wantScrub(store.Scrub{})
	underWay := store.Scrub{Started: epoch, Last: digestOf("x"), Blobs: 3, Bytes: 1 << 40, Damaged: 1}
	f.noError(f.SaveScrub(ctx, underWay))
	wantScrub(underWay)
	f.reopen()
	wantScrub(underWay)
	finished := store.Scrub{Started: epoch, Finished: epoch.Add(time.Hour + 1), Last: digestOf("y"), Blobs: 4, Bytes: 1<<40 + 1, Damaged: 2}
	f.noError(f.SaveScrub(ctx, finished))
	f.reopen()
	wantScrub(finished)
	f.mustPublish(ref("a", "p", "1", "f"), "x")
	wantScrub(finished)
	f.noError(f.SaveScrub(ctx, store.Scrub{}))
	wantScrub(store.Scrub{})
}

func metadataCondition(f *metadataFixture) {
	wantSound(f, f.Condition())
	f.mustPublish(ref("a", "p", "1", "f"), "x")
	wantSound(f, f.Condition())
	f.noError(f.Close())
	wantClosed(f, f.Condition())
	f.mustOpen()
	wantSound(f, f.Condition())
}

// helped is what both fixtures are.
type helped interface {
	Helper()
	Errorf(format string, args ...any)
	wantError(got, want error)
}

// wantSound holds that an open store says so, and that it has room when it knows
// of a disk.
func wantSound(f helped, c store.Condition) {
	f.Helper()
	if c.Fault != nil || !c.Readable {
		f.Errorf("an open store's condition is %+v", c)
	}
	if c.Space != (store.Space{}) && (c.Space.Free == 0 || c.Space.Reserve == 0) {
		f.Errorf("the space is %+v", c.Space)
	}
}

func wantClosed(f helped, c store.Condition) {
	f.Helper()
	f.wantError(c.Fault, store.ErrUnavailable)
	if c.Readable {
		f.Errorf("a closed store is readable")
	}
}
