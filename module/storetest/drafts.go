package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// draftClauses are the contract of store.Drafts.
var draftClauses = map[string]func(*metadataFixture){
	"a draft is seen by who asks for drafts, and counts":               draftHidden,
	"a published draft is there at once, with the time of publishing":  draftPublished,
	"a draft is published with just the files that it should have":     draftCompared,
	"drafts and published versions do not take each other's files":     draftStates,
	"drafts end by being deleted, and those begun early are told":      draftEnds,
	"a delete for one state leaves a version of the other":             draftDeletes,
	"of racing drafts just those that fit the quota of drafts win":     draftQuota,
	"readers see none or all of a draft's files while it is published": draftAtomic,
}

// publishAs publishes content as change says.
func (f *metadataFixture) publishAs(r store.Ref, content string, change func(*store.Publication)) (store.File, error) {
	f.Helper()
	p := f.publication(r, content)
	change(&p)
	file, _, err := f.Publish(context.Background(), p)
	return file, err
}

func asDraft(p *store.Publication) { p.Draft = true }

func (f *metadataFixture) mustDraft(r store.Ref, content string) store.File {
	f.Helper()
	file, err := f.publishAs(r, content, asDraft)
	f.noError(err)
	return file
}

func (f *metadataFixture) check() {
	f.Helper()
	if checked, ok := f.MetadataStore.(store.Checked); ok {
		f.noError(checked.Check(context.Background(), func(problem string) { f.Errorf("%s", problem) }))
	}
}

// draftHidden was seen to fail with drafts that are looked for only in packages that have
// something published.
func draftHidden(f *metadataFixture) {
	ctx := context.Background()
	f.mustPublish(ref("o", "p", "1", "f"), "x")
	draft := f.mustDraft(ref("O", "p", "2", "f"), "yy")
	f.mustDraft(ref("o", "q", "1", "f"), "z")
	for range 2 {
		f.wantMissing(draft.Ref, store.ErrPackageNotFound)
		f.wantMissing(ref("o", "p", "2", "other"), store.ErrPackageNotFound)
		_, err := f.FindVersion(ctx, draft.VersionRef)
		f.wantError(err, store.ErrPackageNotFound)
		_, err = f.Files(ctx, store.FileQuery{VersionRef: draft.VersionRef})
		f.wantError(err, store.ErrPackageNotFound)
		_, err = f.Foremost(ctx, "o", "q")
		f.wantError(err, store.ErrPackageNotFound)
		page := f.versions(store.VersionQuery{Owner: "o", Total: true})
		f.wantVersions(page.Versions, "p 1")
		f.want(page.Total, int64(1))
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Package: "p"}).Versions, "p 1")
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Package: "q"}).Versions)
		owners, err := f.Owners(ctx, store.OwnerQuery{})
		f.noError(err)
		f.want(owners.Owners, []store.OwnerInfo{{Name: "o", Packages: 1, Sums: store.Sums{Versions: 1, Files: 1, Bytes: 1}}})
		packages, err := f.Packages(ctx, store.PackageQuery{Owner: "o"})
		f.noError(err)
		f.want(len(packages.Packages), 1)

		found, err := f.LookupDraft(ctx, draft.Ref)
		f.noError(err)
		f.want(found, draft)
		_, err = f.LookupDraft(ctx, ref("o", "q", "1", "f")) // of a package without anything else
		f.noError(err)
		_, err = f.LookupDraft(ctx, ref("o", "p", "2", "other"))
		f.wantError(err, store.ErrFileNotFound)
		_, err = f.LookupDraft(ctx, ref("o", "p", "1", "f"))
		f.wantError(err, store.ErrPackageNotFound)
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Drafts: true}).Versions, "q 1", "p 2")
		f.wantVersions(f.allVersions(store.VersionQuery{Owner: "o", Drafts: true, Limit: 1}), "q 1", "p 2")
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Package: "P", Drafts: true}).Versions, "p 2")
		files, err := f.Files(ctx, store.FileQuery{VersionRef: draft.VersionRef, Draft: true})
		f.noError(err)
		f.want(files.Files, []store.File{draft})
		f.want(files.Version.Draft, true)
		usage, err := f.Usage(ctx, "o")
		f.noError(err)
		f.want(usage, store.Usage{Versions: 3, Files: 3, Bytes: 4, Drafts: 2})
		f.check()
		f.reopen()
	}
}

func draftPublished(f *metadataFixture) {
	ctx := context.Background()
	draft := f.mustDraft(ref("o", "p", "1", "f"), "x")
	f.mustPublish(ref("o", "p", "2", "f"), "y")
	at := store.Act{User: "bob", Time: epoch.Add(time.Hour)}
	_, err := f.PublishDraft(ctx, ref("O", "P", "1", "").VersionRef, nil, at)
	f.noError(err)
	later := f.mustPublish(ref("o", "p", "1", "later"), "z") // of an earlier time
	want := draft
	want.Created = at.Time
	for range 2 {
		f.want(f.mustLookup(draft.Ref), want)
		f.want(f.mustLookup(later.Ref), later)
		page := f.versions(store.VersionQuery{Owner: "o", Total: true})
		f.wantVersions(page.Versions, "p 1", "p 2")
		f.want(page.Total, int64(2))
		version, err := f.FindVersion(ctx, draft.VersionRef)
		f.noError(err)
		f.want(version.Created, at.Time)
		f.want(version.Draft, false)
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Drafts: true}).Versions)
		_, err = f.LookupDraft(ctx, draft.Ref)
		f.wantError(err, store.ErrPackageNotFound)
		f.check()
		f.reopen()
	}
	_, err = f.PublishDraft(ctx, draft.VersionRef, nil, act)
	f.noError(err)
	f.want(f.mustLookup(draft.Ref), want)
	_, err = f.PublishDraft(ctx, ref("o", "p", "3", "").VersionRef, nil, act)
	f.wantError(err, store.ErrPackageNotFound)
}

func draftCompared(f *metadataFixture) {
	ctx := context.Background()
	f.mustDraft(ref("o", "p", "1", "a"), "a")
	f.mustDraft(ref("o", "p", "1", "B"), "b")
	version := ref("o", "p", "1", "").VersionRef
	for _, test := range []struct {
		expected map[string]store.Digest
		want     []store.Difference
	}{
		{map[string]store.Digest{"a": digestOf("a"), "b": digestOf("x"), "C": digestOf("c")}, []store.Difference{{Kind: store.Different, File: "b"}, {Kind: store.Missing, File: "C"}}},
		{map[string]store.Digest{"A": digestOf("a")}, []store.Difference{{Kind: store.Extra, File: "B"}}},
		{map[string]store.Digest{}, []store.Difference{{Kind: store.Extra, File: "a"}, {Kind: store.Extra, File: "B"}}},
	} {
		got, err := f.PublishDraft(ctx, version, test.expected, act)
		f.wantError(err, store.ErrDifferent)
		f.want(got, test.want)
		f.wantMissing(ref("o", "p", "1", "a"), store.ErrPackageNotFound)
	}
	exact := map[string]store.Digest{"a": digestOf("a"), "b": digestOf("b")}
	for range 2 { // the second time it is published already
		got, err := f.PublishDraft(ctx, version, exact, act)
		f.noError(err)
		f.want(len(got), 0)
		f.mustLookup(ref("o", "p", "1", "b"))
	}
	exact["c"] = digestOf("c")
	got, err := f.PublishDraft(ctx, version, exact, act)
	f.wantError(err, store.ErrDifferent)
	f.want(got, []store.Difference{{Kind: store.Missing, File: "c"}})
}

func draftStates(f *metadataFixture) {
	f.mustDraft(ref("o", "p", "1", "f"), "x")
	f.mustPublish(ref("o", "p", "2", "f"), "y")
	_, plain, err := f.publish(ref("o", "p", "1", "g"), "g")
	f.wantError(err, store.ErrDraft)
	draft := f.publication(ref("o", "p", "2", "g"), "h")
	draft.Draft = true
	_, _, err = f.Publish(context.Background(), draft)
	f.wantError(err, store.ErrNotDraft)
	again := f.publication(ref("o", "p", "1", "F"), "z")
	again.Draft = true
	_, _, err = f.Publish(context.Background(), again)
	f.wantError(err, store.ErrExists)
	f.wantCondemned(plain, draft.Locator, again.Locator)
}

func draftEnds(f *metadataFixture) {
	ctx := context.Background()
	for i, version := range []string{"1", "2", "3"} {
		at := epoch.Add(time.Duration(i) * time.Hour)
		_, err := f.publishAs(ref("o", "p", version, "f"), version, func(p *store.Publication) { p.Draft, p.Created = true, at })
		f.noError(err)
	}
	before := func(at time.Time, limit int) []store.VersionRef {
		refs, err := f.DraftsBefore(ctx, at, limit)
		f.noError(err)
		return refs
	}
	f.want(len(before(epoch, 10)), 0)
	f.want(before(epoch.Add(time.Hour), 10), []store.VersionRef{ref("o", "p", "1", "").VersionRef})
	f.want(before(epoch.Add(5*time.Hour), 2), []store.VersionRef{ref("o", "p", "1", "").VersionRef, ref("o", "p", "2", "").VersionRef})
	f.mustPublish(ref("o", "q", "1", "f"), "published")
	f.wantError(f.DeleteDraft(ctx, ref("o", "q", "1", "").VersionRef, epoch.AddDate(1, 0, 0), act), store.ErrPackageNotFound)
	f.wantError(f.DeleteDraft(ctx, ref("o", "p", "1", "").VersionRef, epoch, act), store.ErrPackageNotFound)
	f.noError(f.DeleteDraft(ctx, ref("O", "p", "1", "").VersionRef, epoch.Add(time.Hour), act))
	f.noError(f.DeleteFile(ctx, ref("o", "p", "2", "f"), act))
	f.noError(f.DeleteVersion(ctx, ref("o", "q", "1", "").VersionRef, act))
	f.noError(f.DeletePackage(ctx, "o", "p", act))
	f.want(len(before(epoch.Add(5*time.Hour), 10)), 0)
	f.want(len(f.drain()), 4)
	f.want(len(before(epoch.Add(5*time.Hour), 10)), 0)
	usage, err := f.Usage(ctx, "o")
	f.noError(err)
	f.want(usage, store.Usage{})
	f.check()
}

func draftDeletes(f *metadataFixture) {
	ctx := context.Background()
	draft, published := f.mustDraft(ref("o", "p", "1", "f"), "x"), f.mustPublish(ref("o", "p", "2", "f"), "y")
	for _, test := range []struct {
		file  store.File
		other store.State
	}{{draft, store.Published}, {published, store.Drafted}} {
		wrong := store.Act{User: "alice", Time: epoch, Only: test.other}
		f.wantError(f.DeleteFile(ctx, test.file.Ref, wrong), store.ErrPackageNotFound)
		f.wantError(f.DeleteVersion(ctx, test.file.VersionRef, wrong), store.ErrPackageNotFound)
	}
	_, err := f.LookupDraft(ctx, draft.Ref)
	f.noError(err)
	f.mustLookup(published.Ref)
	f.noError(f.DeleteFile(ctx, draft.Ref, store.Act{Time: epoch, Only: store.Drafted}))
	f.noError(f.DeleteVersion(ctx, published.VersionRef, store.Act{Time: epoch, Only: store.Published}))
	f.check()
}

func draftQuota(f *metadataFixture) {
	const clients, drafts = 8, 3
	errs := make([]error, clients)
	inParallel(clients, func(i int) {
		_, errs[i] = f.publishAs(ref("o", "p", fmt.Sprint(i), "f"), "x", func(p *store.Publication) { p.Draft, p.Quota.Drafts = true, drafts })
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			f.wantError(err, store.ErrQuotaDrafts)
		}
	}
	f.want(won, drafts)
	_, err := f.publishAs(ref("o", "p", "plain", "f"), "x", func(p *store.Publication) { p.Quota.Drafts = drafts })
	f.noError(err)
}

func draftAtomic(f *metadataFixture) {
	const files, rounds = 20, 10
	ctx := context.Background()
	for round := range rounds {
		version := ref("o", "p", fmt.Sprint(round), "")
		for i := range files {
			version.File = numbered(i)
			f.mustDraft(version, numbered(i))
		}
		inParallel(4, func(i int) {
			if i == 0 {
				_, err := f.PublishDraft(ctx, version.VersionRef, nil, act)
				if err != nil {
					f.Errorf("publishing: %v", err)
				}
				return
			}
			for seen := false; !seen; {
				page, err := f.Files(ctx, store.FileQuery{VersionRef: version.VersionRef, Limit: files})
				if seen = err == nil; seen && len(page.Files) != files {
					f.Errorf("a reader sees %d of %d files", len(page.Files), files)
				}
			}
		})
	}
}
