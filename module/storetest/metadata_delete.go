package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func replaced(f *metadataFixture) {
	first := f.mustPublish(ref("a", "p", "1", "f"), "same")
	second, locator, err := f.publish(ref("b", "q", "2", "g"), "same")
	f.noError(err)
	if second.Locator != locator {
		f.Errorf("the new file is at %s, its bytes at %s", second.Locator, locator)
	}
	for range 2 {
		if got := f.mustLookup(ref("a", "p", "1", "f")).Locator; got != locator {
			f.Errorf("the old name is at %s, want %s", got, locator)
		}
		f.reopen()
	}
	f.wantCondemned(first.Locator)
}

// publishedAgain: whoever did not hear whether a publish happened tries it again.
func publishedAgain(f *metadataFixture) {
	ctx := context.Background()
	p := f.publication(ref("o", "p", "1", "f"), "x")
	want, _, err := f.Publish(ctx, p)
	f.noError(err)
	for _, how := range []store.OnDuplicate{store.Reject, store.Same, store.Replace} {
		p.OnDuplicate = how
		got, condemned, err := f.Publish(ctx, p)
		f.noError(err)
		f.want(got, want)
		f.want(condemned, false)
	}
	other := p // of the same bytes, refused in every way
	for _, change := range []func(*store.Publication){
		func(p *store.Publication) { p.Ref.File, p.Quota = "g", store.Quota{Files: 1} },
		func(p *store.Publication) { p.Ref.File, p.Draft = "g", true },
	} {
		other = p
		change(&other)
		_, condemned, err := f.Publish(ctx, other)
		f.want(store.IsRefusal(err), true)
		f.want(condemned, false)
	}
	f.mustPublish(ref("o", "p", "1", "taken"), "other")
	other = p
	other.Ref.File, other.OnDuplicate = "taken", store.Reject
	_, _, err = f.Publish(ctx, other)
	f.wantError(err, store.ErrExists)
	f.wantCondemned()
	f.want(f.mustLookup(want.Ref), want)
	f.wantUsage("o", 6, 1, 2)
	f.check()
	f.reopen()
	f.want(f.mustLookup(want.Ref), want)
	f.check()
}

// otherBytesAgain: of two processes that go on with one upload, the first publishes it, and the
// other says that there are other bytes at its locator. The first one's stay.
// Seen to fail with stores that ask only whether the blob of the digest has the locator, and with
// stores that let the second one take the place of the first.
func otherBytesAgain(f *metadataFixture) {
	ctx := context.Background()
	first := f.publication(ref("o", "p", "1", "f"), "x")
	want, _, err := f.Publish(ctx, first)
	f.noError(err)
	second := f.publication(first.Ref, "x and y")
	second.Locator = first.Locator
	for _, change := range []func(*store.Publication){
		func(p *store.Publication) { p.OnDuplicate = store.Reject },
		func(p *store.Publication) { p.OnDuplicate = store.Same },
		func(p *store.Publication) { p.OnDuplicate = store.Replace },
		func(p *store.Publication) { p.OnDuplicate, p.Quota = store.Replace, store.Quota{Bytes: 1} },
		func(p *store.Publication) { p.Draft = true },
		func(p *store.Publication) { p.Current = new(int64) },
	} {
		p := second
		change(&p)
		_, condemned, err := f.Publish(ctx, p)
		f.want(store.IsRefusal(err), true)
		f.want(condemned, false)
	}
	_, _, err = f.Publish(ctx, second)
	f.wantError(err, store.ErrExists)
	f.wantCondemned()
	f.want(f.mustLookup(first.Ref), want)
	f.check()
}

func condemnedAgain(f *metadataFixture) {
	ctx := context.Background()
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	refused := f.publication(ref("o", "p", "1", "f"), "y")
	_, _, err := f.Publish(ctx, refused)
	f.wantError(err, store.ErrExists)
	deleted := f.publication(ref("o", "p", "2", "f"), "z")
	_, _, err = f.Publish(ctx, deleted)
	f.noError(err)
	f.noError(f.DeleteFile(ctx, deleted.Ref, act))
	for _, p := range []store.Publication{refused, deleted} {
		p.Ref.File = "new"
		_, _, err := f.Publish(ctx, p)
		f.wantError(err, store.ErrUnavailable)
		_, err = f.FindBlob(ctx, p.Digest)
		f.wantError(err, store.ErrBlobNotFound)
	}
	f.wantCondemned(refused.Locator, deleted.Locator)
	f.check()
}

// tooLate: a sweep may have taken the bytes, or do so soon.
func tooLate(f *metadataFixture) {
	late := f.publication(ref("a", "p", "1", "f"), "late")
	late.Stored = f.Clock().Add(-store.PublishWithin - time.Minute)
	_, condemned, err := f.Publish(context.Background(), late)
	f.wantError(err, store.ErrUnavailable)
	f.wantMissing(late.Ref, store.ErrPackageNotFound)
	if f.wantCondemned(); condemned {
		f.Error("the bytes are condemned")
	}
	late.Stored = f.Clock().Add(-store.PublishWithin + time.Minute)
	_, _, err = f.Publish(context.Background(), late)
	f.noError(err)
	f.mustLookup(late.Ref)
}

func lastReference(f *metadataFixture) {
	refs := []store.Ref{ref("a", "p", "1", "f"), ref("a", "p", "1", "g"), ref("a", "p", "2", "f"), ref("b", "p", "1", "f")}
	var locator store.Locator
	for _, r := range refs {
		locator = f.mustPublish(r, "same").Locator
	}
	f.drain()
	f.noError(f.DeleteFile(context.Background(), refs[0], act))
	f.noError(f.DeleteVersion(context.Background(), refs[1].VersionRef, act))
	f.noError(f.DeleteFile(context.Background(), refs[2], act))
	f.wantCondemned()
	f.noError(f.DeleteVersion(context.Background(), refs[3].VersionRef, act))
	f.wantCondemned(locator)
}

func lastFile(f *metadataFixture) {
	f.mustPublish(ref("Alice", "P", "V", "F"), "1")
	f.mustPublish(ref("alice", "p", "v", "g"), "2")
	f.noError(f.DeleteFile(context.Background(), ref("alice", "p", "v", "f"), act))
	f.wantMissing(ref("alice", "p", "v", "f"), store.ErrFileNotFound)
	f.noError(f.DeleteFile(context.Background(), ref("alice", "p", "v", "g"), act))
	f.wantMissing(ref("alice", "p", "v", "g"), store.ErrPackageNotFound)
	f.wantError(f.DeleteVersion(context.Background(), ref("alice", "p", "v", "").VersionRef, act), store.ErrPackageNotFound)
	again := f.mustPublish(ref("alice", "p", "v", "f"), "3")
	if want := ref("alice", "p", "v", "f"); again.Ref != want {
		f.Errorf("ref is %v: the old spelling outlived its version", again.Ref)
	}
}

func deleteVersion(f *metadataFixture) {
	const files = 1_000
	var want []store.Locator
	for i := range files {
		want = append(want, f.mustPublish(ref("a", "p", "1", numbered(i)), numbered(i)).Locator)
	}
	f.mustPublish(ref("a", "p", "2", numbered(0)), "kept")
	f.noError(f.DeleteVersion(context.Background(), store.VersionRef{Owner: "A", Package: "P", Version: "1"}, act))
	for i := range files {
		f.wantMissing(ref("a", "p", "1", numbered(i)), store.ErrPackageNotFound)
	}
	f.wantCondemned(want...)
	f.mustLookup(ref("a", "p", "2", numbered(0)))
}

func republishBeforeCleanup(f *metadataFixture) {
	var old []store.Locator
	for i := range 400 {
		old = append(old, f.mustPublish(ref("a", "p", "1", numbered(i)), "old "+numbered(i)).Locator)
	}
	f.noError(f.DeleteVersion(context.Background(), ref("a", "p", "1", "").VersionRef, act))
	var files []store.File
	for i := range 10 {
		files = append(files, f.mustPublish(ref("a", "p", "1", numbered(i)), "new "+numbered(i)))
	}
	f.reopen()
	f.wantCondemned(old...)
	for _, file := range files {
		if f.mustLookup(file.Ref) != file {
			f.Errorf("%v changed", file.Ref)
		}
	}
}

func republishAfterCondemn(f *metadataFixture) {
	old := f.mustPublish(ref("a", "p", "1", "f"), "x")
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "f"), act))
	again := f.mustPublish(ref("a", "p", "1", "f"), "x")
	if again.Locator == old.Locator {
		f.Error("the condemned locator is used again")
	}
	f.wantCondemned(old.Locator)
	if f.mustLookup(ref("a", "p", "1", "f")) != again {
		f.Error("the file changed")
	}
}

func offeredUntilBuried(f *metadataFixture) {
	locator := f.mustPublish(ref("a", "p", "1", "f"), "x").Locator
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "f"), act))
	for range 2 {
		got, err := f.Reclaim(context.Background(), 10)
		f.noError(err)
		if !slices.Equal(got, []store.Locator{locator}) {
			f.Fatalf("condemned: %v", got)
		}
		f.reopen()
	}
	f.noError(f.Bury(context.Background(), []store.Locator{locator}))
	f.reopen()
	f.wantCondemned()
}

// cleanedUpMeanwhile: the bytes of one version may have to stay for long, and other versions are
// deleted while they do.
// Seen to fail with stores that clean up only when nothing is condemned.
func cleanedUpMeanwhile(f *metadataFixture) {
	ctx := context.Background()
	var want []store.Locator
	for _, version := range []string{"1", "2", "3"} {
		for i := range 400 {
			want = append(want, f.mustPublish(ref("a", "p", version, numbered(i)), version+numbered(i)).Locator)
		}
	}
	want = append(want, f.mustPublish(ref("a", "q", "1", "f"), "q").Locator)
	f.noError(f.DeleteFile(ctx, ref("a", "p", "1", numbered(0)), act))
	f.noError(f.DeleteVersion(ctx, ref("a", "p", "1", "").VersionRef, act))
	f.noError(f.DeleteVersion(ctx, ref("a", "p", "2", "").VersionRef, act))
	f.noError(f.DeletePackage(ctx, "a", "p", act))
	f.noError(f.DeleteFile(ctx, ref("a", "q", "1", "f"), act))
	for _, limit := range []int{7, len(want) + 1} {
		got, err := f.Reclaim(ctx, limit)
		f.noError(err)
		f.want(len(got), min(limit, len(want)))
	}
	f.wantCondemned(want...)
}

// cleanedUpUnlisted: deleted versions lose their files however seldom somebody lists locators,
// and a call leaves those that would take it long. The locators stay condemned.
// Seen to fail with a CleanUp that does nothing, and with one that says nothing is left.
func cleanedUpUnlisted(f *metadataFixture) {
	ctx := context.Background()
	var want []store.Locator
	for i := range 250 {
		file := f.mustPublish(ref("a", "p", numbered(i), "f"), numbered(i))
		want = append(want, file.Locator)
		if i%100 == 0 {
			f.mark(file.Blob, store.DamageMissing, true)
		}
	}
	f.noError(f.DeletePackage(ctx, "a", "p", act))
	for calls := 1; ; calls++ {
		more, err := f.CleanUp(ctx)
		f.noError(err)
		if !more {
			f.want(calls > 1, true)
			break
		}
	}
	f.wantDamaged()
	f.wantCondemned(want...)
}

func buryUnknown(f *metadataFixture) {
	file := f.mustPublish(ref("a", "p", "1", "f"), "x")
	f.noError(f.Bury(context.Background(), []store.Locator{file.Locator, store.NewLocator(1)}))
	f.noError(f.Bury(context.Background(), nil))
	if f.mustLookup(file.Ref) != file || len(f.unnamed(file.Locator)) > 0 {
		f.Error("the file changed")
	}
}

func unnamedLocators(f *metadataFixture) {
	named := f.mustPublish(ref("a", "p", "1", "f"), "x").Locator
	condemned := f.mustPublish(ref("a", "p", "1", "g"), "y").Locator
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "g"), act))
	want := []store.Locator{store.NewLocator(1), store.NewLocator(2)}
	slices.Sort(want)
	if got := f.unnamed(named, condemned, want[0], want[1]); !slices.Equal(got, want) {
		f.Errorf("unnamed: %v, want %v", got, want)
	}
	if got := f.unnamed(); len(got) > 0 {
		f.Errorf("of nothing: %v", got)
	}
}

func deleteMissing(f *metadataFixture) {
	ctx := context.Background()
	f.wantError(f.DeleteFile(ctx, ref("a", "p", "1", "f"), act), store.ErrPackageNotFound)
	f.wantError(f.DeleteVersion(ctx, ref("a", "p", "1", "").VersionRef, act), store.ErrPackageNotFound)
	file := f.mustPublish(ref("a", "p", "1", "f"), "x")
	f.wantError(f.DeleteFile(ctx, ref("a", "p", "1", "g"), act), store.ErrFileNotFound)
	f.wantError(f.DeleteFile(ctx, ref("a", "p", "1", ""), act), store.ErrFileNotFound)
	f.wantError(f.DeleteVersion(ctx, ref("a", "p", "2", "").VersionRef, act), store.ErrPackageNotFound)
	f.wantCondemned()
	if f.mustLookup(file.Ref) != file {
		f.Error("the file changed")
	}
}

func emptyFile(f *metadataFixture) {
	first := f.mustPublish(ref("a", "p", "1", "empty"), "")
	second := f.mustPublish(ref("a", "p", "1", "empty too"), "")
	if first.Size != 0 || f.mustLookup(first.Ref).Locator != second.Locator {
		f.Errorf("files are %+v and %+v", first, second)
	}
}

func sharedWithinVersion(f *metadataFixture) {
	f.mustPublish(ref("a", "p", "1", "f"), "same")
	f.mustPublish(ref("a", "p", "1", "g"), "same")
	locator := f.mustPublish(ref("a", "p", "1", "h"), "same").Locator
	f.drain()
	f.noError(f.DeleteVersion(context.Background(), ref("a", "p", "1", "").VersionRef, act))
	f.wantCondemned(locator)
}

func separatorInName(f *metadataFixture) {
	kept := f.mustPublish(ref("a", "b", "c", "d"), "x")
	for _, r := range []store.Ref{
		ref("a\x00b", "c", "", "d"), ref("a", "b\x00c", "", "d"), ref("a\x00b\x00c", "", "", "d"), ref("a", "b", "c\x00", "d"),
	} {
		f.wantMissing(r, store.ErrPackageNotFound)
		f.wantError(f.DeleteFile(context.Background(), r, act), store.ErrPackageNotFound)
		f.wantError(f.DeleteVersion(context.Background(), r.VersionRef, act), store.ErrPackageNotFound)
	}
	f.wantMissing(ref("a", "b", "c", "d\x00"), store.ErrFileNotFound)
	if f.mustLookup(kept.Ref) != kept {
		f.Error("the file changed")
	}
}

func nothingLeft(f *metadataFixture) {
	var locators []store.Locator
	for i := range 20 {
		locators = append(locators, f.mustPublish(ref("a", "p", numbered(i%4), numbered(i)), numbered(i%7)).Locator)
	}
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", numbered(0), numbered(0)), act))
	for i := range 4 {
		f.noError(f.DeleteVersion(context.Background(), ref("a", "p", numbered(i), "").VersionRef, act))
	}
	f.drain()
	f.reopen()
	f.wantCondemned()
	slices.Sort(locators)
	if got := f.unnamed(locators...); !slices.Equal(got, locators) {
		f.Errorf("%d of %d locators are unnamed", len(got), len(locators))
	}
}
