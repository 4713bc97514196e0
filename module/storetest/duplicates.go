package storetest

import (
	"context"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// duplicateClauses are the contract of a publish under a name that is taken.
var duplicateClauses = map[string]func(*metadataFixture){
	"same takes equal bytes, and nothing changes but where they are": sameTaken,
	"replace has new bytes take the name":                            replaceTaken,
	"a file that must still be the current one":                      currentTaken,
}

func sameTaken(f *metadataFixture) {
	same := func(p *store.Publication) {
		p.OnDuplicate, p.Creator, p.Created = store.Same, "bob", epoch.Add(time.Hour)
	}
	first := f.mustPublish(ref("o", "p", "1", "f"), "x")
	other := f.mustPublish(ref("o", "p", "1", "g"), "x")
	f.drain()
	renewed, err := f.publishAs(ref("O", "p", "1", "F"), "x", same)
	f.noError(err)
	want := first
	want.Locator = renewed.Locator
	f.want(renewed, want)
	f.wantCondemned(other.Locator)
	for range 2 {
		f.want(f.mustLookup(first.Ref), want)
		f.want(f.mustLookup(other.Ref).Locator, renewed.Locator)
		f.check()
		f.reopen()
	}
	p := f.publication(ref("o", "p", "1", "f"), "other")
	same(&p)
	_, _, err = f.Publish(context.Background(), p)
	f.wantError(err, store.ErrExists)
	f.wantCondemned(p.Locator)
	f.noError(f.DeleteVersion(context.Background(), first.VersionRef, act))
	f.wantCondemned(renewed.Locator)
}

func replaceTaken(f *metadataFixture) {
	replace := func(p *store.Publication) {
		p.OnDuplicate, p.Creator, p.Quota.Files, p.Quota.Bytes = store.Replace, "bob", 1, 5
	}
	old := f.mustPublish(ref("o", "p", "1", "f"), "x")
	replaced, err := f.publishAs(ref("o", "p", "1", "F"), "yyyyy", replace)
	f.noError(err)
	f.wantCondemned(old.Locator)
	if replaced.ID <= old.ID || replaced.Creator != "bob" || replaced.File != "F" {
		f.Errorf("the file is %+v, it was %+v", replaced, old)
	}
	for range 2 {
		f.want(f.mustLookup(old.Ref), replaced)
		f.want(len(f.versions(store.VersionQuery{Owner: "o"}).Versions), 1)
		usage, err := f.Usage(context.Background(), "o")
		f.noError(err)
		f.want(usage, store.Usage{Versions: 1, Files: 1, Bytes: 5})
		f.check()
		f.reopen()
	}
	_, err = f.publishAs(ref("o", "p", "1", "F"), "yyyyyy", replace)
	f.wantError(err, store.ErrQuotaBytes)
	f.want(f.mustLookup(old.Ref), replaced)
	_, err = f.FindBlob(context.Background(), digestOf("x"))
	f.wantError(err, store.ErrBlobNotFound)
}

// currentTaken has changes name the file that must still be there. One that is another by now
// stays, and the bytes of the publish go.
func currentTaken(f *metadataFixture) {
	ctx := context.Background()
	r := ref("o", "p", "1", "f")
	over := func(current int64) func(*store.Publication) {
		return func(p *store.Publication) { p.OnDuplicate, p.Current = store.Replace, &current }
	}
	refuse := func(r store.Ref, content string, current int64) {
		f.Helper()
		p := f.publication(r, content)
		over(current)(&p)
		_, _, err := f.Publish(ctx, p)
		f.wantError(err, store.ErrChanged)
		f.wantCondemned(p.Locator)
	}
	refuse(r, "no version is there", 1)
	first, err := f.publishAs(r, "x", over(0))
	f.noError(err)
	refuse(r, "y", 0)
	refuse(r, "x", 0)
	refuse(ref("o", "p", "1", "other"), "no file is there", first.ID)
	p := f.publication(r, "second")
	over(first.ID)(&p)
	second, _, err := f.Publish(ctx, p)
	f.noError(err)
	f.wantCondemned(first.Locator)
	again, _, err := f.Publish(ctx, p) // which was made already
	f.noError(err)
	f.want(again, second)
	refuse(r, "third", first.ID)
	refuse(r, "second", first.ID)
	renewed, err := f.publishAs(r, "second", over(second.ID))
	f.noError(err)
	f.want(renewed.ID, second.ID)
	f.wantCondemned(second.Locator)
	f.wantError(f.DeleteFile(ctx, r, store.Act{Time: epoch, Current: first.ID}), store.ErrChanged)
	f.want(f.mustLookup(r), renewed)
	f.reopen()
	f.want(f.mustLookup(r), renewed)
	f.check()
	f.noError(f.DeleteFile(ctx, r, store.Act{Time: epoch, Current: second.ID}))
	f.wantCondemned(renewed.Locator)
	f.wantError(f.DeleteFile(ctx, r, store.Act{Time: epoch, Current: second.ID}), store.ErrPackageNotFound)
}
