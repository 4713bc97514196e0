package storetest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// CatalogModel checks random histories of a metadata store against a plain map: every page
// of every list, with the ids that were told first, however often the store is closed,
// opened, and made anew out of its journal, or its journal out of it.
func CatalogModel(t *testing.T, place func(t testing.TB) JournaledPlace) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &catalogModel{JournaledPlace: place(t), rt: rt, versions: make(map[store.VersionRef]*modelVersion)}
		m.open()
		defer func() { m.noError(m.store.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"publish":         m.publish,
			"publish more":    m.publish,
			"delete file":     m.deleteFile,
			"delete version":  m.deleteVersion,
			"delete package":  m.deletePackage,
			"publish a draft": m.publishDraft,
			"open again":      m.openAgain,
			"clean up":        m.cleanUp,
			"":                m.check,
		})
	})
}

type catalogModel struct {
	JournaledPlace
	rt       *rapid.T
	store    store.MetadataStore
	versions map[store.VersionRef]*modelVersion // by folded names
	steps    int
	content  int
}

// modelVersion is what was told of a version.
type modelVersion struct {
	store.VersionInfo // without sums
	files             map[string]store.File
}

func (m *catalogModel) noError(err error) {
	if err != nil {
		m.rt.Fatal(err)
	}
}

func (m *catalogModel) open() {
	opened, err := m.Metadata.OpenMetadata(context.Background(), m.Root, slog.New(slog.DiscardHandler))
	m.noError(err)
	m.store = opened
}

func (m *catalogModel) again(do func(store.JournalBackend) error) {
	m.noError(m.store.Close())
	m.noError(do(m.Metadata.(store.JournalBackend)))
	m.open()
}

// openAgain is seldom: on a disk it takes longer than all else.
func (m *catalogModel) openAgain(t *rapid.T) {
	how := rapid.IntRange(0, 8).Draw(t, "how")
	if _, ok := m.Metadata.(store.JournalBackend); !ok {
		how = min(how, 0)
	}
	switch how {
	case 0:
		m.noError(m.store.Close())
		m.open()
	case 1:
		m.rebuild()
	case 2:
		m.rebuildJournal()
		m.rebuild() // out of a checkpoint
	}
}

func (m *catalogModel) rebuild() {
	m.again(func(b store.JournalBackend) error {
		return b.Rebuild(context.Background(), m.Root, slog.New(slog.DiscardHandler))
	})
}

func (m *catalogModel) rebuildJournal() {
	if len(m.versions) == 0 || m.Root == "" {
		return // of nothing there is no journal, and in memory no checkpoint of what there is
	}
	m.again(func(b store.JournalBackend) error {
		return b.RebuildJournal(context.Background(), m.Root, slog.New(slog.DiscardHandler))
	})
}

// act is at a time that may be that of the step before.
func (m *catalogModel) act() store.Act {
	m.steps++
	return store.Act{User: "alice", Time: epoch.Add(time.Duration(m.steps/2) * time.Second)}
}

var modelRanks = map[string]string{"1": "0c", "1.0": "0c", "2": "0b", "3-rc": "1a"}

func (m *catalogModel) draw(t *rapid.T) store.Ref {
	return ref(
		rapid.SampledFrom([]string{"o", "O", "other"}).Draw(t, "owner"), rapid.SampledFrom([]string{"p", "P", "lib"}).Draw(t, "package"),
		rapid.SampledFrom([]string{"1", "1.0", "2", "3-rc", "nightly"}).Draw(t, "version"), rapid.SampledFrom([]string{"f", "F", "g"}).Draw(t, "file"))
}

func (m *catalogModel) publish(t *rapid.T) {
	r, at := m.draw(t), m.act()
	m.content++
	content := fmt.Sprint(m.content % 3)
	p := store.Publication{
		Ref: r, Blob: store.Blob{Locator: store.NewLocator(1), Digest: digestOf(content), Size: int64(m.content % 3)},
		Stored: m.store.Clock(), Creator: at.User, Created: at.Time, Rank: modelRanks[r.Version],
		Draft: rapid.Bool().Draw(t, "draft"), OnDuplicate: rapid.SampledFrom([]store.OnDuplicate{store.Reject, store.Same, store.Replace}).Draw(t, "on duplicate"),
	}
	file, _, err := m.store.Publish(context.Background(), p)
	if refused := m.refusal(p); refused != nil {
		if err == nil {
			m.rt.Fatalf("%v is published, want %v", r, refused)
		}
		return
	}
	m.noError(err)
	v := m.versions[r.VersionRef.Key()]
	if v == nil {
		v = m.newVersion(p)
	}
	if old, exists := v.files[store.Fold(r.File)]; exists && old.Digest == p.Digest {
		return
	}
	v.files[store.Fold(r.File)] = file
}

func (m *catalogModel) newVersion(p store.Publication) *modelVersion {
	shown := p.Ref.VersionRef
	for key, known := range m.versions {
		if key.Owner == store.Fold(shown.Owner) {
			shown.Owner = known.Owner
			if key.Package == store.Fold(shown.Package) {
				shown.Package = known.Package
			}
		}
	}
	page, err := m.store.Files(context.Background(), store.FileQuery{VersionRef: p.Ref.VersionRef, Draft: p.Draft})
	m.noError(err)
	v := &modelVersion{files: make(map[string]store.File), VersionInfo: store.VersionInfo{
		VersionRef: shown, ID: page.Version.ID, Creator: p.Creator, Created: p.Created, Draft: p.Draft, Rank: p.Rank,
	}}
	m.versions[p.Ref.VersionRef.Key()] = v
	return v
}

func (m *catalogModel) refusal(p store.Publication) error {
	v := m.versions[p.Ref.VersionRef.Key()]
	if v == nil {
		return nil
	}
	if err := p.CheckState(v.Draft); err != nil {
		return err
	}
	old, exists := v.files[store.Fold(p.Ref.File)]
	if exists && p.OnDuplicate != store.Replace && (p.OnDuplicate != store.Same || old.Digest != p.Digest) {
		return store.ErrExists
	}
	return nil
}

func (m *catalogModel) wantDone(err error, exists bool) {
	if (err == nil) != exists {
		m.rt.Fatalf("error is %v, and it is there: %v", err, exists)
	}
}

func (m *catalogModel) deleteFile(t *rapid.T) {
	r := m.draw(t)
	err := m.store.DeleteFile(context.Background(), r, m.act())
	v := m.versions[r.VersionRef.Key()]
	if v == nil {
		m.wantDone(err, false)
		return
	}
	_, exists := v.files[store.Fold(r.File)]
	m.wantDone(err, exists)
	if delete(v.files, store.Fold(r.File)); len(v.files) == 0 {
		delete(m.versions, r.VersionRef.Key())
	}
}

func (m *catalogModel) deleteVersion(t *rapid.T) {
	r := m.draw(t).VersionRef
	m.wantDone(m.store.DeleteVersion(context.Background(), r, m.act()), m.versions[r.Key()] != nil)
	delete(m.versions, r.Key())
}

func (m *catalogModel) deletePackage(t *rapid.T) {
	r := m.draw(t).VersionRef.Key()
	err := m.store.DeletePackage(context.Background(), r.Owner, r.Package, m.act())
	had := len(m.versions)
	maps.DeleteFunc(m.versions, func(key store.VersionRef, _ *modelVersion) bool {
		return key.Owner == r.Owner && key.Package == r.Package
	})
	m.wantDone(err, len(m.versions) < had)
}

func (m *catalogModel) publishDraft(t *rapid.T) {
	r, at := m.draw(t).VersionRef, m.act()
	_, err := m.store.PublishDraft(context.Background(), r, nil, at)
	v := m.versions[r.Key()]
	m.wantDone(err, v != nil)
	if v == nil || !v.Draft {
		return
	}
	v.Draft, v.Created = false, at.Time
	for name, file := range v.files {
		file.Created = at.Time
		v.files[name] = file
	}
}

func (m *catalogModel) cleanUp(*rapid.T) {
	for {
		locators, err := m.store.Reclaim(context.Background(), 100)
		m.noError(err)
		if len(locators) == 0 {
			break
		}
		m.noError(m.store.Bury(context.Background(), locators))
	}
	m.noError(m.store.(store.Checked).Check(context.Background(), func(problem string) { m.rt.Errorf("%s", problem) }))
}

// list returns versions in an order.
func (m *catalogModel) list(take func(key store.VersionRef, v *modelVersion) bool, order func(a, b store.VersionInfo) int) []store.VersionInfo {
	var all []store.VersionInfo
	for key, v := range m.versions {
		if take(key, v) {
			info := v.VersionInfo
			for _, file := range v.files {
				info.Files++
				info.Bytes += file.Size
			}
			all = append(all, info)
		}
	}
	slices.SortFunc(all, order)
	return all
}

func newer(a, b store.VersionInfo) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
}

func higher(a, b store.VersionInfo) int { return cmp.Or(strings.Compare(a.Rank, b.Rank), newer(a, b)) }

func (m *catalogModel) check(t *rapid.T) {
	onlyLib := store.Selection{Select: func(_, pkg string) bool { return pkg == "lib" }}
	for _, owner := range []string{"o", "other", "nobody"} {
		for _, pkg := range []string{"", "p", "lib"} {
			of := func(key store.VersionRef, draft bool, v *modelVersion) bool {
				return key.Owner == owner && (pkg == "" || key.Package == pkg) && v.Draft == draft
			}
			published := m.list(func(key store.VersionRef, v *modelVersion) bool { return of(key, false, v) }, newer)
			m.wantPages(store.VersionQuery{Owner: owner, Package: pkg}, published, int64(len(published)))
			m.wantPages(store.VersionQuery{Owner: owner, Package: pkg, Search: "%"}, published, int64(len(published)))
			lib := m.list(func(key store.VersionRef, v *modelVersion) bool { return of(key, false, v) && key.Package == "lib" }, newer)
			m.wantPages(store.VersionQuery{Owner: owner, Package: pkg, Selection: onlyLib}, lib, int64(len(lib)))
			m.wantPages(store.VersionQuery{Owner: owner, Package: pkg, Search: "I"}, lib, int64(len(lib)))
			drafts := m.list(func(key store.VersionRef, v *modelVersion) bool { return of(key, true, v) }, newer)
			m.wantPages(store.VersionQuery{Owner: owner, Package: pkg, Drafts: true}, drafts, int64(len(drafts)))
			if pkg != "" {
				ranked := m.list(func(key store.VersionRef, v *modelVersion) bool { return of(key, false, v) && v.Rank != "" }, higher)
				m.wantPages(store.VersionQuery{Owner: owner, Package: pkg, Order: store.HighestFirst}, ranked, int64(len(published)))
				m.wantForemost(owner, pkg, published, ranked)
			}
		}
	}
	m.checkSums()
	m.checkFiles()
}

// wantPages compares the pages of some size, by cursor, and one by its number.
func (m *catalogModel) wantPages(q store.VersionQuery, want []store.VersionInfo, total int64) {
	q.Limit, q.Total = m.steps%3+1, true
	one := q
	one.Skip = int64(q.Limit)
	page, err := m.store.Versions(context.Background(), one)
	m.noError(err)
	from := min(len(want), q.Limit)
	m.want(q, page.Versions, want[from:min(len(want), from+q.Limit)])
	var got []store.VersionInfo
	for {
		page, err := m.store.Versions(context.Background(), q)
		m.noError(err)
		if got = append(got, page.Versions...); page.Total != total {
			m.rt.Fatalf("%+v: total %d, want %d", q, page.Total, total)
		}
		if q.After = page.Next; page.Next == "" {
			break
		}
	}
	m.want(q, got, want)
}

func (m *catalogModel) want(q store.VersionQuery, got, want []store.VersionInfo) {
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		m.rt.Fatalf("%s %s (order %d, drafts %v):\ngot  %+v\nwant %+v", q.Owner, q.Package, q.Order, q.Drafts, got, want)
	}
}

func (m *catalogModel) wantForemost(owner, pkg string, published, ranked []store.VersionInfo) {
	got, err := m.store.Foremost(context.Background(), owner, pkg)
	if len(published) == 0 {
		m.wantDone(err, false)
		return
	}
	m.noError(err)
	want := store.Foremost{Newest: published[0].VersionRef, Created: published[0].Created}
	if len(ranked) > 0 {
		want.Highest, want.Rank = ranked[0].VersionRef, ranked[0].Rank
	}
	if got != want {
		m.rt.Fatalf("first of %s/%s: %+v, want %+v", owner, pkg, got, want)
	}
}

func (m *catalogModel) checkSums() {
	owners := make(map[string]store.OwnerInfo)
	packages := make(map[store.VersionRef]store.PackageInfo)
	for _, info := range m.list(func(_ store.VersionRef, v *modelVersion) bool { return !v.Draft }, newer) {
		sums := store.Sums{Versions: 1, Files: info.Files, Bytes: info.Bytes}
		key := info.VersionRef.Key()
		key.Version = ""
		pkg, owner := packages[key], owners[key.Owner]
		if pkg.Versions == 0 {
			owner.Packages++
		}
		pkg.Owner, pkg.Name, owner.Name = info.Owner, info.Package, info.Owner
		pkg.Add(sums)
		owner.Add(sums)
		packages[key], owners[key.Owner] = pkg, owner
	}
	all, err := m.store.Owners(context.Background(), store.OwnerQuery{})
	m.noError(err)
	listed := make(map[string]store.OwnerInfo)
	for _, owner := range all.Owners {
		listed[store.Fold(owner.Name)] = owner
		page, err := m.store.Packages(context.Background(), store.PackageQuery{Owner: owner.Name})
		m.noError(err)
		for _, pkg := range page.Packages {
			key := store.VersionRef{Owner: store.Fold(pkg.Owner), Package: store.Fold(pkg.Name)}
			if pkg != packages[key] {
				m.rt.Fatalf("package %+v, want %+v", pkg, packages[key])
			}
			delete(packages, key)
		}
	}
	if !maps.Equal(listed, owners) || len(packages) > 0 {
		m.rt.Fatalf("owners %+v, want %+v; packages that are not listed: %+v", listed, owners, packages)
	}
}

func (m *catalogModel) checkFiles() {
	for key, v := range m.versions {
		page, err := m.store.Files(context.Background(), store.FileQuery{VersionRef: key, Draft: v.Draft})
		m.noError(err)
		if len(page.Files) != len(v.files) || page.Version.ID != v.ID {
			m.rt.Fatalf("%v: %d files of version %d, want %d of %d", key, len(page.Files), page.Version.ID, len(v.files), v.ID)
		}
		for _, file := range page.Files {
			want := v.files[store.Fold(file.File)]
			want.Locator = file.Locator // which a later publish of the bytes moves
			if file != want {
				m.rt.Fatalf("file %+v, want %+v", file, want)
			}
		}
	}
}
