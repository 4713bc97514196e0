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
