package badger

import (
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

type versionRecord struct {
	id                   uint64
	owner, name, version string // as first published
	creator              string
	created              time.Time
	rank                 string // by semver; empty when it is none
	draft                bool
	released             uint64 // files of lower ids were published with the version, at its time
	files                uint64
	bytes                uint64
	downloads            downloads
}

type fileRecord struct {
	id        uint64
	name      string // as published
	digest    store.Digest
	size      uint64
	creator   string
	created   time.Time
	downloads downloads
}

// downloads are counted, and may be lost.
type downloads struct {
	count uint64
	last  time.Time // zero when there was none
}

type blobRecord struct {
	locator    store.Locator
	size       uint64
	references uint64
	hashes     string // MD5, SHA-1, SHA-512; empty when they are not known
	damage     store.DamageKind
}

// packageRecord has the name in the spelling of the first version that there was since
// the package had none, and its id.
type packageRecord struct {
	id                uint64
	name              string
	published, drafts counts

	foremost *store.Foremost // in memory only, and only where it was looked for
}

// ownerRecord has the name as packageRecord does.
type ownerRecord struct {
	name              string
	packages          uint64 // with something published
	published, drafts counts
}

// counts are of versions, and of what is in them.
type counts struct{ versions, files, bytes uint64 }

// graveRecord remembers how far the clean-up of a deleted version came: a scan
// from its first file would pass over all that are deleted already.
type graveRecord struct{ lastFile string }

// tombRecord remembers the last version of a deleted package that was cleaned up.
type tombRecord struct{ lastVersion string }

// idRecord has the next id to give out, to versions and files alike.
type idRecord struct{ next uint64 }

// storeRecord tells this store from every other.
type storeRecord struct{ id string }

// indexRecord is an entry of an index of versions: which one. Names are folded.
type indexRecord struct {
	packageID     uint64
	name, version string
}

// condemnedRecord and damagedRecord say all by being there.
type (
	condemnedRecord struct{}
	damagedRecord   struct{}
)

func (r *versionRecord) Fields(f *coding.Fields) {
	f.Number(&r.id)
	f.Text(&r.owner)
	f.Text(&r.name)
	f.Text(&r.version)
	f.Text(&r.creator)
	f.Time(&r.created)
	f.Text(&r.rank)
	f.Flag(&r.draft)
	f.Number(&r.released)
	f.Number(&r.files)
	f.Number(&r.bytes)
	r.downloads.Fields(f)
}

func (r *fileRecord) Fields(f *coding.Fields) {
	f.Number(&r.id)
	f.Text(&r.name)
	f.Digest(&r.digest)
	f.Number(&r.size)
	f.Text(&r.creator)
	f.Time(&r.created)
	r.downloads.Fields(f)
}

func (d *downloads) Fields(f *coding.Fields) {
	f.Number(&d.count)
	if d.count > 0 {
		f.OptionalTime(&d.last)
	}
}

func (r *blobRecord) Fields(f *coding.Fields) {
	f.Text((*string)(&r.locator))
	f.Number(&r.size)
	f.Number(&r.references)
	f.Text(&r.hashes)
	f.Text((*string)(&r.damage))
}

func (r *packageRecord) Fields(f *coding.Fields) {
	f.Number(&r.id)
	f.Text(&r.name)
	r.published.Fields(f)
	r.drafts.Fields(f)
}

func (r *ownerRecord) Fields(f *coding.Fields) {
	f.Text(&r.name)
	f.Number(&r.packages)
	r.published.Fields(f)
	r.drafts.Fields(f)
}

func (c *counts) Fields(f *coding.Fields) {
	f.Number(&c.versions)
	f.Number(&c.files)
	f.Number(&c.bytes)
}

func (c *counts) add(more counts) {
	c.versions += more.versions
	c.files += more.files
	c.bytes += more.bytes
}

func (c *counts) take(less counts) {
	c.versions -= less.versions
	c.files -= less.files
	c.bytes -= less.bytes
}

func (c counts) sums() store.Sums {
	return store.Sums{Versions: int64(c.versions), Files: int64(c.files), Bytes: int64(c.bytes)}
}

// usage is what counts against a quota: drafts too.
func (r *ownerRecord) usage() store.Usage {
	all := r.published
	all.add(r.drafts)
	return store.Usage{Bytes: int64(all.bytes), Versions: int64(all.versions), Files: int64(all.files), Drafts: int64(r.drafts.versions)}
}

func (r *graveRecord) Fields(f *coding.Fields) { f.Text(&r.lastFile) }

func (r *tombRecord) Fields(f *coding.Fields) { f.Text(&r.lastVersion) }

func (r *storeRecord) Fields(f *coding.Fields) { f.Text(&r.id) }

func (r *indexRecord) Fields(f *coding.Fields) {
	f.Number(&r.packageID)
	f.Text(&r.name)
	f.Text(&r.version)
}

func (*condemnedRecord) Fields(*coding.Fields) {}

func (*damagedRecord) Fields(*coding.Fields) {}

func (r *idRecord) Fields(f *coding.Fields) { f.Number(&r.next) }
