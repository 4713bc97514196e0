package storetest

import (
	"context"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

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
		stable.Ranks, other.Ranks = store.RankSpan{To: "1"}, store.RankSpan{From: "1"}
		f.wantVersions(f.versions(stable).Versions, all[:5]...)
		f.wantVersions(f.versions(other).Versions, all[5:]...)
		stable.Limit = 2
		f.wantVersions(f.allVersions(stable), all[:5]...)
		stable.Skip = 3
		f.wantVersions(f.versions(stable).Versions, all[3:5]...)
		for _, span := range []struct {
			from, to   string
			begin, end int
		}{{"0c", "0e", 0, 4}, {"0c ", "0e ", 3, 5}, {"0d", "", 3, 7}, {"", "0c", 0, 0}, {"1c", "1d", 6, 6}, {"1e", "", 7, 7}, {"1", "0", 7, 7}} {
			within := query
			within.Ranks = store.RankSpan{From: span.from, To: span.to}
			for _, within.Limit = range []int{1, 0} {
				f.wantVersions(f.allVersions(within), all[span.begin:span.end]...)
			}
		}
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
	want := func(newest string, created time.Time, highest, rank string) {
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
			f.want(first, store.Foremost{Newest: ref(newest), Created: created, Highest: ref(highest), Rank: rank})
		}
	}
	remove := func(version string) {
		f.Helper()
		f.noError(f.DeleteVersion(ctx, ref("o", "p", version, "").VersionRef, act))
	}
	_, err := f.Foremost(ctx, "o", "p")
	f.wantError(err, store.ErrPackageNotFound)
	f.publishRanked("nightly", "", epoch)
	want("nightly", epoch, "", "")
	f.publishRanked("1.0", "0b", epoch.Add(-time.Hour))
	want("nightly", epoch, "1.0", "0b")
	f.publishRanked("v1.0", "0b", epoch.Add(time.Hour))
	want("v1.0", epoch.Add(time.Hour), "v1.0", "0b")
	f.publishRanked("2.0", "0a", epoch.Add(-2*time.Hour))
	want("v1.0", epoch.Add(time.Hour), "2.0", "0a")
	f.reopen()
	want("v1.0", epoch.Add(time.Hour), "2.0", "0a")
	remove("2.0")
	want("v1.0", epoch.Add(time.Hour), "v1.0", "0b")
	remove("v1.0")
	want("nightly", epoch, "1.0", "0b")
	f.noError(f.DeleteFile(ctx, ref("o", "p", "1.0", "f"), act))
	want("nightly", epoch, "", "")
	f.noError(f.DeletePackage(ctx, "o", "p", act))
	_, err = f.Foremost(ctx, "o", "p")
	f.wantError(err, store.ErrPackageNotFound)
}
