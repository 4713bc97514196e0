package storetest

import (
	"context"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func (f *metadataFixture) wantUsage(owner string, bytes, versions, files int64) {
	f.Helper()
	got, err := f.Usage(context.Background(), owner)
	f.noError(err)
	if want := (store.Usage{Bytes: bytes, Versions: versions, Files: files}); got != want {
		f.Fatalf("%s has %+v, want %+v", owner, got, want)
	}
}

// publishWithin publishes fresh content under a quota, and returns where its bytes are.
func (f *metadataFixture) publishWithin(quota store.Quota, r store.Ref, content string) (store.Locator, error) {
	f.Helper()
	p := f.publication(r, content)
	p.Quota = quota
	_, _, err := f.Publish(context.Background(), p)
	return p.Locator, err
}

func usageCounted(f *metadataFixture) {
	f.wantUsage("nobody", 0, 0, 0)
	f.mustPublish(ref("Alice", "p", "1", "f"), "12345")
	f.mustPublish(ref("alice", "p", "1", "g"), "12345") // equal contents count twice
	f.mustPublish(ref("ALICE", "q", "1", "f"), "123")
	f.mustPublish(ref("bob", "p", "1", "f"), "12345")
	f.wantUsage("aLiCe", 13, 2, 3)
	f.wantUsage("bob", 5, 1, 1)
	_, _, err := f.publish(ref("alice", "p", "1", "f"), "refused")
	f.wantError(err, store.ErrExists)
	f.wantUsage("alice", 13, 2, 3)
	f.noError(f.DeleteFile(context.Background(), ref("alice", "p", "1", "f"), act))
	f.wantUsage("alice", 8, 2, 2)
	f.reopen()
	f.wantUsage("alice", 8, 2, 2)
	f.noError(f.DeleteVersion(context.Background(), ref("alice", "p", "1", "").VersionRef, act))
	f.wantUsage("alice", 3, 1, 1)
	f.drain()
	f.wantUsage("alice", 3, 1, 1)
	f.noError(f.DeleteFile(context.Background(), ref("alice", "q", "1", "f"), act))
	f.wantUsage("alice", 0, 0, 0)
	f.wantUsage("bob", 5, 1, 1)
}

func quotaRefused(f *metadataFixture) {
	quota := store.Quota{Bytes: 10, Versions: 2}
	_, err := f.publishWithin(quota, ref("a", "p", "1", "f"), "1234567")
	f.noError(err)
	large, err := f.publishWithin(quota, ref("a", "p", "1", "g"), "abcd")
	f.wantError(err, store.ErrQuotaBytes)
	f.wantCondemned(large)
	f.wantMissing(ref("a", "p", "1", "g"), store.ErrFileNotFound)
	_, err = f.publishWithin(quota, ref("a", "p", "2", "g"), "abc") // just fits
	f.noError(err)
	third, err := f.publishWithin(quota, ref("a", "p", "3", "g"), "")
	f.wantError(err, store.ErrQuotaVersions)
	f.wantCondemned(third)
	f.wantMissing(ref("a", "p", "3", "g"), store.ErrPackageNotFound)
	_, err = f.publishWithin(quota, ref("a", "p", "2", "empty"), "") // in a version that is there
	f.noError(err)
	duplicate, err := f.publishWithin(quota, ref("a", "p", "1", "f"), "xxxxxxx")
	f.wantError(err, store.ErrExists) // rather than the quota
	f.wantCondemned(duplicate)
	f.wantUsage("a", 10, 2, 3)
	_, err = f.publishWithin(quota, ref("b", "p", "1", "f"), "another's quota is not touched"[:10])
	f.noError(err)
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "f"), act))
	_, err = f.publishWithin(quota, ref("a", "p", "9", "f"), "7654321")
	f.noError(err)
}

func quotaRace(f *metadataFixture) {
	const clients, fit = 8, 5
	f.race(clients, fit, store.Quota{Bytes: fit*10 + 9, Versions: clients}, store.ErrQuotaBytes)
}

// race publishes files of ten bytes at once, of which so many fit.
func (f *metadataFixture) race(clients, fit int, quota store.Quota, refusal error) {
	f.Helper()
	errs := make([]error, clients)
	inParallel(clients, func(i int) {
		_, errs[i] = f.publishWithin(quota, ref("a", "p", numbered(i), "f"), strings.Repeat(string(rune('a'+i)), 10))
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		f.wantError(err, refusal)
	}
	if won != fit {
		f.Errorf("%d publishes won, %d fit", won, fit)
	}
	f.wantUsage("a", int64(fit)*10, int64(fit), int64(fit))
}

func filesRefused(f *metadataFixture) {
	ctx, quota := context.Background(), store.Quota{Files: 3}
	for _, fits := range []store.Ref{ref("a", "p", "1", "f"), ref("A", "p", "1", "g"), ref("a", "q", "1", "f")} {
		_, err := f.publishWithin(quota, fits, "")
		f.noError(err)
	}
	refuse := func(r store.Ref, want error) {
		f.Helper()
		f.drain() // what was replaced and deleted before
		refused, err := f.publishWithin(quota, r, "")
		f.wantError(err, want)
		f.wantCondemned(refused)
	}
	refuse(ref("a", "p", "1", "h"), store.ErrQuotaFiles) // of a version that is there
	refuse(ref("a", "p", "2", "f"), store.ErrQuotaFiles) // of a new version
	f.wantMissing(ref("a", "p", "1", "h"), store.ErrFileNotFound)
	f.wantMissing(ref("a", "p", "2", "f"), store.ErrPackageNotFound)
	refuse(ref("a", "p", "1", "f"), store.ErrExists) // rather than the quota
	f.reopen()
	refuse(ref("a", "p", "1", "h"), store.ErrQuotaFiles)
	_, err := f.publishWithin(quota, ref("b", "p", "1", "f"), "")
	f.noError(err)
	f.noError(f.DeleteVersion(ctx, ref("a", "p", "1", "").VersionRef, act)) // two files
	f.wantUsage("a", 0, 1, 1)
	for _, fits := range []store.Ref{ref("a", "p", "1", "f"), ref("a", "p", "1", "g")} {
		_, err := f.publishWithin(quota, fits, "")
		f.noError(err)
	}
	refuse(ref("a", "p", "1", "h"), store.ErrQuotaFiles)
	f.noError(f.DeleteFile(ctx, ref("a", "p", "1", "f"), act))
	_, err = f.publishWithin(quota, ref("a", "p", "1", "h"), "")
	f.noError(err)
}

func filesRace(f *metadataFixture) {
	const clients, fit = 8, 5
	f.race(clients, fit, store.Quota{Files: fit}, store.ErrQuotaFiles)
}
