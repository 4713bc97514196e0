package badger

import (
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// known is a version that is about to change, and what counts it.
type known struct {
	owner     ownerRecord
	ownerKey  []byte
	pkg       packageRecord
	pkgKey    []byte
	version   versionRecord
	key       []byte // of the version
	exists    bool   // the version
	hadCounts counts // published of the package, before the change
}

// known reads a version's records. One that is not there has the counts of its package
// and its owner, as far as those are.
func (b *batch) known(ref store.VersionRef) (k known, err error) {
	if k, err = b.knownPackage(ref.Owner, ref.Package); err != nil || k.pkg.id == 0 {
		return k, err
	}
	k.key = versionKey(k.pkg.id, ref.Version)
	k.exists, err = b.get(k.key, &k.version)
	return k, err
}

func (b *batch) knownPackage(owner, pkg string) (k known, err error) {
	k.ownerKey, k.pkgKey = ownerKey(owner), packageKey(owner, pkg)
	if _, err = b.get(k.ownerKey, &k.owner); err != nil {
		return k, err
	}
	_, err = b.get(k.pkgKey, &k.pkg)
	k.hadCounts = k.pkg.published
	return k, err
}

// makeVersion writes a new version into the indexes and counts it. It shows its owner and
// its package as they were first spelled.
func (b *batch) makeVersion(k *known, version versionRecord) {
	if k.owner.isEmpty() {
		k.owner.name = version.owner
	}
	if k.pkg.id == 0 {
		k.pkg.id = version.id
	}
	if k.pkg.isEmpty() {
		k.pkg.name = version.name
	}
	version.owner, version.name = k.owner.name, k.pkg.name
	k.key, k.version, k.exists = versionKey(k.pkg.id, version.version), version, true
	b.state.sums.versions += scatter(version.id)
	k.add(counts{versions: 1})
	b.index(k.pkg.id, version, b.put)
}

// removeVersion deletes the records of a version itself, and takes it off the counts with
// the files that it says to have.
func (b *batch) removeVersion(k *known) {
	k.take(counts{versions: 1, files: k.version.files, bytes: k.version.bytes})
	k.exists = false
	b.dropVersion(k.pkg.id, k.key, k.version)
}

// dropVersion deletes the records of a version itself.
func (b *batch) dropVersion(packageID uint64, key []byte, version versionRecord) {
	b.state.sums.versions -= scatter(version.id)
	b.delete(key)
	b.index(packageID, version, func(key []byte, _ coding.Record) { b.delete(key) })
}

// index calls do for each entry that the indexes have of a version.
func (b *batch) index(packageID uint64, version versionRecord, do func(key []byte, entry coding.Record)) {
	entry := version.entry(packageID)
	for _, key := range version.indexKeys(packageID) {
		do(key, entry)
	}
}

func (v *versionRecord) entry(packageID uint64) *indexRecord {
	return &indexRecord{packageID: packageID, name: store.Fold(v.name), version: store.Fold(v.version)}
}

func (v *versionRecord) indexKeys(packageID uint64) [][]byte {
	if v.draft {
		return [][]byte{draftKey(v.created, v.id), append(draftsKey(v.owner), newestFirst(v.created, v.id)...)}
	}
	order := newestFirst(v.created, v.id)
	keys := [][]byte{
		append(timesKey(v.owner), order...),
		append(idKey(newestPrefix, packageID), order...),
	}
	if v.rank != "" {
		keys = append(keys, slices.Concat(appendName(idKey(rankPrefix, packageID), v.rank), order))
	}
	return keys
}

func (k *known) addFile(size uint64) {
	k.version.files++
	k.version.bytes += size
	k.add(counts{files: 1, bytes: size})
}

func (k *known) takeFile(size uint64) {
	k.version.files--
	k.version.bytes -= size
	k.take(counts{files: 1, bytes: size})
}

// add counts something for the package and the owner.
func (k *known) add(more counts) {
	pkg, owner := k.counted()
	pkg.add(more)
	owner.add(more)
}

func (k *known) take(less counts) {
	pkg, owner := k.counted()
	pkg.take(less)
	owner.take(less)
}

func (k *known) counted() (pkg, owner *counts) {
	if k.version.draft {
		return &k.pkg.drafts, &k.owner.drafts
	}
	return &k.pkg.published, &k.owner.published
}

// putKnown writes a version, if it is there, and its counts. Where nothing is left to
// count there is no record.
func (b *batch) putKnown(k known) {
	if k.exists {
		b.put(k.key, &k.version)
	}
	b.putPackage(k)
}

func (b *batch) putPackage(k known) {
	had, has := k.hadCounts.versions, k.pkg.published.versions
	if had > 0 && has == 0 {
		k.owner.packages--
	} else if had == 0 && has > 0 {
		k.owner.packages++
	}
	if had != has {
		owner := nameOf(k.ownerKey, ownerPrefix)
		name := string(k.pkgKey[len(packagesKey(owner)) : len(k.pkgKey)-1])
		b.packages = append(b.packages, names.Change{Owner: owner, Package: names.Package{Name: name, ID: k.pkg.id, Versions: has}})
	}
	if k.pkg.isEmpty() {
		b.delete(k.pkgKey)
	} else {
		b.put(k.pkgKey, &k.pkg)
	}
	if k.owner.isEmpty() {
		b.delete(k.ownerKey)
	} else {
		b.put(k.ownerKey, &k.owner)
	}
}

func (r *ownerRecord) isEmpty() bool { return r.published.versions+r.drafts.versions == 0 }

func (r *packageRecord) isEmpty() bool { return r.published.versions+r.drafts.versions == 0 }
