package storetest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// catalogClauses are the contract of store.Catalog.
var catalogClauses = map[string]func(*metadataFixture){
	"owners, packages and versions are listed with what they have":     catalogSums,
	"versions are listed newest first, of an owner and of a package":   catalogNewestFirst,
	"pages by cursor have every version once, whatever their size":     catalogCursors,
	"pages by number have every version once, past the end is nothing": catalogPageNumbers,
	"a cursor that nobody gave out, and any limit, give a page":        catalogBadInput,
	"who may see some packages sees those, and totals of those":        catalogSelection,
	"a search finds packages by a part of the name":                    catalogSearch,
	"files are listed by name, in pages":                               catalogFiles,
	"an owner and a package keep their first spelling":                 catalogSpelling,
	"ids grow, and are the same after closing and opening":             catalogIDs,
	"what is deleted is listed no more":                                catalogDeletes,
	"versions are listed highest first, by the rank they have":         catalogRanks,
	"the first versions of a package are told, through every change":   foremost,
	"a deleted package is gone at once, and can be published again":    deletePackage,
	"the versions of a deleted package are cleaned up in steps":        deleteLargePackage,
	"versions of years before 1970 are the oldest":                     catalogOldTimes,
}

// publishAt publishes content at a time.
func (f *metadataFixture) publishAt(r store.Ref, content string, at time.Time) store.File {
	f.Helper()
	p := f.publication(r, content)
	p.Created = at
	file, _, err := f.Publish(context.Background(), p)
	f.noError(err)
	return file
}

func (f *metadataFixture) versions(q store.VersionQuery) store.VersionPage {
	f.Helper()
	page, err := f.Versions(context.Background(), q)
	f.noError(err)
	return page
}

// allVersions reads pages by cursor until the last.
func (f *metadataFixture) allVersions(q store.VersionQuery) (all []store.VersionInfo) {
	f.Helper()
	for range 1000 {
		page := f.versions(q)
		all = append(all, page.Versions...)
		if q.After = page.Next; page.Next == "" {
			return all
		}
	}
	f.Fatal("the pages have no end")
	return nil
}

// wantVersions compares versions by "package version".
func (f *metadataFixture) wantVersions(got []store.VersionInfo, want ...string) {
	f.Helper()
	names := make([]string, len(got))
	for i, v := range got {
		names[i] = v.Package + " " + v.Version
	}
	if strings.Join(names, ", ") != strings.Join(want, ", ") {
		f.Errorf("versions: %q, want %q", names, want)
	}
}

func (f *metadataFixture) want(got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("got  %+v, want %+v", got, want)
	}
}

// fillCatalog publishes versions of two packages a minute after each other, and one of
// another owner.
func fillCatalog(f *metadataFixture) {
	for i, r := range []store.Ref{
		ref("Alice", "Tool", "1.0", "f"), ref("alice", "tool", "1.1", "f"), ref("alice", "lib", "1.0", "f"),
		ref("alice", "TOOL", "0.9", "f"), ref("alice", "lib", "2.0", "f"), ref("bob", "tool", "5", "f"),
	} {
		f.publishAt(r, numbered(i), epoch.Add(time.Duration(i)*time.Minute))
	}
	f.publishAt(ref("alice", "tool", "1.0", "g"), "later", epoch.Add(time.Hour))
}

func catalogSums(f *metadataFixture) {
	fillCatalog(f)
	size := int64(len(numbered(0)))
	owners, err := f.Owners(context.Background(), store.OwnerQuery{})
	f.noError(err)
	f.want(owners.Owners, []store.OwnerInfo{
		{Name: "Alice", Packages: 2, Sums: store.Sums{Versions: 5, Files: 6, Bytes: 5*size + 5}},
		{Name: "bob", Packages: 1, Sums: store.Sums{Versions: 1, Files: 1, Bytes: size}},
	})
	packages, err := f.Packages(context.Background(), store.PackageQuery{Owner: "ALICE"})
	f.noError(err)
	f.want(packages.Packages, []store.PackageInfo{
		{Owner: "Alice", Name: "lib", Sums: store.Sums{Versions: 2, Files: 2, Bytes: 2 * size}},
		{Owner: "Alice", Name: "Tool", Sums: store.Sums{Versions: 3, Files: 4, Bytes: 3*size + 5}},
	})
	first, err := f.Packages(context.Background(), store.PackageQuery{Owner: "alice", Limit: 1})
	f.noError(err)
	f.want(first.Packages, packages.Packages[:1])
	second, err := f.Packages(context.Background(), store.PackageQuery{Owner: "alice", Limit: 1, After: first.Next})
	f.noError(err)
	f.want(second, store.PackagePage{Packages: packages.Packages[1:]})
	one, err := f.Owners(context.Background(), store.OwnerQuery{Limit: 1})
	f.noError(err)
	rest, err := f.Owners(context.Background(), store.OwnerQuery{After: one.Next})
	f.noError(err)
	f.want(append(one.Owners, rest.Owners...), owners.Owners)
	version, err := f.FindVersion(context.Background(), store.VersionRef{Owner: "alice", Package: "Tool", Version: "1.0"})
	f.noError(err)
	if !version.Created.Equal(epoch) || version.Creator != "alice" || version.Files != 2 || version.Bytes != size+5 {
		f.Errorf("version is %+v", version)
	}
	f.want(version.VersionRef, store.VersionRef{Owner: "Alice", Package: "Tool", Version: "1.0"})
	_, err = f.FindVersion(context.Background(), store.VersionRef{Owner: "alice", Package: "tool", Version: "2.0"})
	f.wantError(err, store.ErrPackageNotFound)
}

func catalogNewestFirst(f *metadataFixture) {
	fillCatalog(f)
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice"}).Versions, "lib 2.0", "Tool 0.9", "lib 1.0", "Tool 1.1", "Tool 1.0")
	f.wantVersions(f.versions(store.VersionQuery{Owner: "Alice", Package: "tOOL"}).Versions, "Tool 0.9", "Tool 1.1", "Tool 1.0")
	f.wantVersions(f.versions(store.VersionQuery{Owner: "nobody"}).Versions)
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice", Package: "none"}).Versions)
	// Of one time the one that was published later is first.
	f.publishAt(ref("carol", "p", "a", "f"), "x", epoch)
	f.publishAt(ref("carol", "p", "b", "f"), "x", epoch)
	f.wantVersions(f.versions(store.VersionQuery{Owner: "carol"}).Versions, "p b", "p a")
}

func fillVersions(f *metadataFixture, count int) {
	for i := range count {
		f.publishAt(ref("o", fmt.Sprintf("p%d", i%3), fmt.Sprint(i), "f"), "x", epoch.Add(time.Duration(i/2)*time.Second))
	}
}

func catalogCursors(f *metadataFixture) {
	fillVersions(f, 25)
	for _, q := range []store.VersionQuery{{Owner: "o"}, {Owner: "o", Package: "p1"}, {Owner: "o", Search: "p"}} {
		all := f.versions(q).Versions
		for _, q.Limit = range []int{1, 2, 7, len(all), len(all) + 1} {
			f.want(f.allVersions(q), all)
		}
	}
}

func catalogPageNumbers(f *metadataFixture) {
	fillVersions(f, 25)
	all := f.versions(store.VersionQuery{Owner: "o"}).Versions
	for _, size := range []int{1, 4, 25, 26} {
		var paged []store.VersionInfo
		for number := range 25/size + 2 {
			page := f.versions(store.VersionQuery{Owner: "o", Limit: size, Skip: int64(number * size), Total: true})
			paged = append(paged, page.Versions...)
			f.want(page.Total, int64(25))
		}
		f.want(paged, all)
	}
	f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Skip: 1 << 40}).Versions)
}

func catalogBadInput(f *metadataFixture) {
	fillVersions(f, 2)
	for _, cursor := range []store.Cursor{"x", "00", "zz", "../..", store.Cursor(strings.Repeat("0", 4000)), "\x00"} {
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", After: cursor}).Versions, "p1 1", "p0 0")
	}
	for _, limit := range []int{-1, 0, 1 << 40} {
		f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Limit: limit, Skip: -1}).Versions, "p1 1", "p0 0")
	}
	for _, name := range []string{"", "\x00", "a\x00b", "../", strings.Repeat("x", 1000)} {
		f.wantVersions(f.versions(store.VersionQuery{Owner: name}).Versions)
		packages, err := f.Packages(context.Background(), store.PackageQuery{Owner: name})
		f.noError(err)
		f.want(len(packages.Packages), 0)
		_, err = f.Files(context.Background(), store.FileQuery{VersionRef: store.VersionRef{Owner: name, Package: name, Version: name}})
		f.wantError(err, store.ErrPackageNotFound)
	}
}

func catalogSelection(f *metadataFixture) {
	fillCatalog(f)
	selected := store.Selection{Select: func(owner, pkg string) bool { return owner == "alice" && pkg == "lib" }}
	page := f.versions(store.VersionQuery{Owner: "Alice", Selection: selected, Total: true})
	f.wantVersions(page.Versions, "lib 2.0", "lib 1.0")
	f.want(page.Total, int64(2))
	page = f.versions(store.VersionQuery{Owner: "Alice", Selection: selected, Total: true, Skip: 1, Limit: 1})
	f.wantVersions(page.Versions, "lib 1.0")
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice", Package: "tool", Selection: selected}).Versions)
	owners, err := f.Owners(context.Background(), store.OwnerQuery{Selection: selected})
	f.noError(err)
	size := int64(len(numbered(0)))
	f.want(owners.Owners, []store.OwnerInfo{{Name: "Alice", Packages: 1, Sums: store.Sums{Versions: 2, Files: 2, Bytes: 2 * size}}})
	packages, err := f.Packages(context.Background(), store.PackageQuery{Owner: "alice", Selection: selected})
	f.noError(err)
	f.want(packages.Packages, []store.PackageInfo{{Owner: "Alice", Name: "lib", Sums: store.Sums{Versions: 2, Files: 2, Bytes: 2 * size}}})
	selected.Whole = func(owner string) bool { return owner == "bob" }
	owners, err = f.Owners(context.Background(), store.OwnerQuery{Selection: selected})
	f.noError(err)
	f.want(len(owners.Owners), 2)
}

func catalogSearch(f *metadataFixture) {
	fillCatalog(f)
	page := f.versions(store.VersionQuery{Owner: "alice", Search: "OO", Total: true, Limit: 2})
	f.wantVersions(page.Versions, "Tool 0.9", "Tool 1.1")
	f.want(page.Total, int64(3))
	f.want(f.versions(store.VersionQuery{Owner: "alice", Search: "%", Total: true}).Total, int64(5))
	f.want(f.versions(store.VersionQuery{Owner: "alice", Search: "l_b", Total: true}).Total, int64(2))
	f.want(f.versions(store.VersionQuery{Owner: "alice", Search: "x", Total: true}).Total, int64(0))
	packages, err := f.Packages(context.Background(), store.PackageQuery{Owner: "alice", Search: "o"})
	f.noError(err)
	f.want(len(packages.Packages), 1)
}

func catalogFiles(f *metadataFixture) {
	var all []store.File
	for _, name := range []string{"a", "B", "b-", "c", "d"} {
		all = append(all, f.mustPublish(ref("o", "p", "1", name), name))
	}
	f.mustPublish(ref("o", "p", "10", "other"), "x")
	version := store.VersionRef{Owner: "O", Package: "P", Version: "1"}
	for _, size := range []int{1, 2, 5, 6} {
		var paged []store.File
		q := store.FileQuery{VersionRef: version, Limit: size}
		for range len(all) {
			page, err := f.Files(context.Background(), q)
			f.noError(err)
			paged = append(paged, page.Files...)
			f.want(page.Version.Files, int64(5))
			if q.After = page.Next; page.Next == "" {
				break
			}
		}
		f.want(paged, all)
	}
}

func catalogSpelling(f *metadataFixture) {
	f.mustPublish(ref("Alice", "Tool", "1", "f"), "x")
	f.mustPublish(ref("alice", "TOOL", "2", "f"), "x")
	f.want(f.mustLookup(ref("alice", "tool", "2", "f")).VersionRef, store.VersionRef{Owner: "Alice", Package: "Tool", Version: "2"})
	f.noError(f.DeleteVersion(context.Background(), ref("alice", "tool", "1", "").VersionRef, act))
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice"}).Versions, "Tool 2")
	f.noError(f.DeleteVersion(context.Background(), ref("alice", "tool", "2", "").VersionRef, act))
	f.mustPublish(ref("ALICE", "tool", "2", "f"), "x")
	f.reopen()
	f.want(f.mustLookup(ref("alice", "tool", "2", "f")).VersionRef, store.VersionRef{Owner: "ALICE", Package: "tool", Version: "2"})
}

func catalogIDs(f *metadataFixture) {
	var last int64
	var files []store.File
	for i := range 6 {
		file := f.mustPublish(ref("o", "p", fmt.Sprint(i/2), fmt.Sprint(i)), numbered(i))
		version, err := f.FindVersion(context.Background(), file.VersionRef)
		f.noError(err)
		if file.ID <= last || version.ID <= 0 || version.ID == file.ID {
			f.Errorf("file %d of version %d came after %d", file.ID, version.ID, last)
		}
		last = file.ID
		files = append(files, file)
	}
	f.noError(f.DeleteFile(context.Background(), files[5].Ref, act))
	before := f.versions(store.VersionQuery{Owner: "o"}).Versions
	f.reopen()
	f.want(f.versions(store.VersionQuery{Owner: "o"}).Versions, before)
	for _, file := range files[:5] {
		f.want(f.mustLookup(file.Ref), file)
	}
	if again := f.mustPublish(files[5].Ref, "again"); again.ID <= last {
		f.Errorf("id %d was given out before", again.ID)
	}
}

func catalogDeletes(f *metadataFixture) {
	fillCatalog(f)
	f.noError(f.DeleteVersion(context.Background(), ref("alice", "tool", "1.0", "").VersionRef, act))
	f.noError(f.DeleteFile(context.Background(), ref("alice", "tool", "1.1", "f"), act))
	f.noError(f.DeleteFile(context.Background(), ref("bob", "tool", "5", "f"), act))
	page := f.versions(store.VersionQuery{Owner: "alice", Total: true})
	f.wantVersions(page.Versions, "lib 2.0", "Tool 0.9", "lib 1.0")
	f.want(page.Total, int64(3))
	owners, err := f.Owners(context.Background(), store.OwnerQuery{})
	f.noError(err)
	size := int64(len(numbered(0)))
	f.want(owners.Owners, []store.OwnerInfo{{Name: "Alice", Packages: 2, Sums: store.Sums{Versions: 3, Files: 3, Bytes: 3 * size}}})
	_, err = f.Files(context.Background(), store.FileQuery{VersionRef: ref("alice", "tool", "1.0", "").VersionRef})
	f.wantError(err, store.ErrPackageNotFound)
}

func catalogOldTimes(f *metadataFixture) {
	f.publishAt(ref("o", "p", "new", "f"), "x", epoch)
	f.publishAt(ref("o", "p", "old", "f"), "x", epoch.AddDate(-80, 0, 0))
	f.publishAt(ref("o", "p", "older", "f"), "x", epoch.AddDate(-90, 0, 0))
	f.wantVersions(f.allVersions(store.VersionQuery{Owner: "o", Limit: 1}), "p new", "p old", "p older")
}

func deletePackage(f *metadataFixture) {
	ctx := context.Background()
	fillCatalog(f)
	kept := f.mustLookup(ref("alice", "lib", "1.0", "f"))
	f.noError(f.DeletePackage(ctx, "ALICE", "tool", act))
	f.wantError(f.DeletePackage(ctx, "alice", "tool", act), store.ErrPackageNotFound)
	f.wantError(f.DeletePackage(ctx, "nobody", "tool", act), store.ErrPackageNotFound)
	f.wantMissing(ref("alice", "tool", "1.0", "f"), store.ErrPackageNotFound)
	page := f.versions(store.VersionQuery{Owner: "alice", Total: true})
	f.wantVersions(page.Versions, "lib 2.0", "lib 1.0")
	f.want(page.Total, int64(2))
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice", Skip: 1}).Versions, "lib 1.0")
	usage, err := f.Usage(ctx, "alice")
	f.noError(err)
	f.want(usage, store.Usage{Versions: 2, Files: 2, Bytes: 2 * int64(len(numbered(0)))})
	again := f.mustPublish(ref("alice", "tool", "1.0", "f"), "again")
	f.reopen()
	f.want(f.mustLookup(ref("alice", "tool", "1.0", "f")), again)
	f.want(len(f.drain()), 4) // of the contents that only the package had
	f.want(f.mustLookup(again.Ref), again)
	f.want(f.mustLookup(kept.Ref), kept)
	f.noError(f.DeletePackage(ctx, "alice", "lib", act))
	f.noError(f.DeletePackage(ctx, "alice", "tool", act))
	f.noError(f.DeletePackage(ctx, "bob", "tool", act))
	f.want(len(f.drain()), 4)
	owners, err := f.Owners(ctx, store.OwnerQuery{})
	f.noError(err)
	f.want(len(owners.Owners), 0)
}

func deleteLargePackage(f *metadataFixture) {
	const versions = 700 // more than one step takes
	for i := range versions {
		f.mustPublish(ref("o", "p", fmt.Sprint(i), "f"), numbered(i))
	}
	f.mustPublish(ref("o", "q", "1", "f"), "kept")
	f.noError(f.DeletePackage(context.Background(), "o", "p", act))
	f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Limit: 3}).Versions, "q 1")
	f.reopen()
	f.want(len(f.drain()), versions)
	if journaled, ok := f.MetadataStore.(store.Journaled); ok {
		f.noError(journaled.Check(context.Background(), func(problem string) { f.Errorf("%s", problem) }))
	}
}

// publishRanked publishes a version of a rank.
func (f *metadataFixture) publishRanked(version, rank string, at time.Time) {
	f.Helper()
	p := f.publication(ref("O", "p", version, "f"), version)
	p.Rank, p.Created = rank, at
	_, _, err := f.Publish(context.Background(), p)
	f.noError(err)
}

func catalogRanks(f *metadataFixture) {
	for i, v := range []struct{ version, rank string }{
		{"3", "0c"}, {"none", ""}, {"1", "0e"}, {"2-rc", "1d"}, {"v3", "0c"}, {"2", "0d"}, {"3+b", "0c"}, {"4-rc", "1b"},
	} {
		f.publishRanked(v.version, v.rank, epoch.Add(time.Duration(i%3)*time.Hour))
	}
	query := store.VersionQuery{Owner: "o", Package: "P", Order: store.HighestFirst}
	all := []string{"p v3", "p 3+b", "p 3", "p 2", "p 1", "p 4-rc", "p 2-rc"}
	for range 2 {
		f.wantVersions(f.versions(query).Versions, all...)
		for _, query.Limit = range []int{1, 2, 7, 0} {
			f.wantVersions(f.allVersions(query), all...)
		}
		stable, other := query, query
		stable.Ranks, other.Ranks = "0", "1"
		f.wantVersions(f.versions(stable).Versions, all[:5]...)
		f.wantVersions(f.versions(other).Versions, all[5:]...)
		stable.Limit = 2
		f.wantVersions(f.allVersions(stable), all[:5]...)
		stable.Skip = 3
		f.wantVersions(f.versions(stable).Versions, all[3:5]...)
		f.reopen()
	}
	query.After, query.Limit = f.versions(store.VersionQuery{Owner: "o", Limit: 2}).Next, 1
	f.wantVersions(f.versions(query).Versions, all[0])
	query.Package, query.After, query.Limit, query.Total = "", "", 0, true
	page := f.versions(query)
	f.want(page.Total, int64(8))
	f.want(page.Versions, f.versions(store.VersionQuery{Owner: "o"}).Versions)
}

func foremost(f *metadataFixture) {
	ctx := context.Background()
	want := func(newest, highest, rank string) {
		f.Helper()
		for range 2 { // the second time from memory
			first, err := f.Foremost(ctx, "o", "P")
			f.noError(err)
			ref := func(version string) (r store.VersionRef) {
				if version != "" {
					r = store.VersionRef{Owner: "O", Package: "p", Version: version}
				}
				return r
			}
			f.want(first, store.Foremost{Newest: ref(newest), Highest: ref(highest), Rank: rank})
		}
	}
	remove := func(version string) {
		f.Helper()
		f.noError(f.DeleteVersion(ctx, ref("o", "p", version, "").VersionRef, act))
	}
	_, err := f.Foremost(ctx, "o", "p")
	f.wantError(err, store.ErrPackageNotFound)
	f.publishRanked("nightly", "", epoch)
	want("nightly", "", "")
	f.publishRanked("1.0", "0b", epoch.Add(-time.Hour))
	want("nightly", "1.0", "0b")
	f.publishRanked("v1.0", "0b", epoch.Add(time.Hour))
	want("v1.0", "v1.0", "0b")
	f.publishRanked("2.0", "0a", epoch.Add(-2*time.Hour))
	want("v1.0", "2.0", "0a")
	f.reopen()
	want("v1.0", "2.0", "0a")
	remove("2.0")
	want("v1.0", "v1.0", "0b")
	remove("v1.0")
	want("nightly", "1.0", "0b")
	f.noError(f.DeleteFile(ctx, ref("o", "p", "1.0", "f"), act))
	want("nightly", "", "")
	f.noError(f.DeletePackage(ctx, "o", "p", act))
	_, err = f.Foremost(ctx, "o", "p")
	f.wantError(err, store.ErrPackageNotFound)
}
