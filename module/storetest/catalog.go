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
	"pages of a search have what pages of all packages have":           packageSearch,
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

// packageSearch compares the pages of searches with what all packages say, while packages come
// and go. Seen to fail with names in no order, with a page that begins with the last name of
// the one before, and with names as they were before a change.
func packageSearch(f *metadataFixture) {
	ctx := context.Background()
	for _, name := range []string{"c-ab", "Ab", "b", "a", "abc", "cab", "z"} {
		f.mustPublish(ref("Alice", name, "1", "f"), name)
	}
	f.mustDraft(ref("alice", "abd", "1", "f"), "x")
	all := func(q store.PackageQuery) (names []string) {
		for range 20 {
			page, err := f.Packages(ctx, q)
			f.noError(err)
			for _, pkg := range page.Packages {
				names = append(names, pkg.Name)
				f.want(pkg.Owner, "Alice")
			}
			if q.After = page.Next; page.Next == "" {
				return names
			}
		}
		f.Fatalf("%+v has no last page", q)
		return nil
	}
	check := func() {
		f.Helper()
		for _, search := range []string{"a", "AB", "c", "b", "z", "none"} {
			for limit := range 8 {
				var want []string
				for _, name := range all(store.PackageQuery{Owner: "alice"}) {
					if strings.Contains(store.Fold(name), store.Fold(search)) && name != "b" {
						want = append(want, name)
					}
				}
				q := store.PackageQuery{Owner: "ALICE", Search: search, Limit: limit}
				q.Select = func(_, pkg string) bool { return pkg != "b" }
				f.want(all(q), want)
			}
		}
	}
	check()
	f.mustPublish(ref("alice", "aba", "1", "f"), "x")
	f.noError(f.DeletePackage(ctx, "alice", "ab", act))
	check()
	f.mustPublish(ref("alice", "AB", "2", "f"), "x") // in another spelling
	_, err := f.PublishDraft(ctx, ref("alice", "abd", "1", "").VersionRef, nil, act)
	f.noError(err)
	check()
	f.reopen()
	check()
	f.want(all(store.PackageQuery{Owner: "nobody", Search: "a"}), []string(nil))
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

func catalogOldTimes(f *metadataFixture) {
	f.publishAt(ref("o", "p", "new", "f"), "x", epoch)
	f.publishAt(ref("o", "p", "old", "f"), "x", epoch.AddDate(-80, 0, 0))
	f.publishAt(ref("o", "p", "older", "f"), "x", epoch.AddDate(-90, 0, 0))
	f.wantVersions(f.allVersions(store.VersionQuery{Owner: "o", Limit: 1}), "p new", "p old", "p older")
}
