package badger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Every value is a format byte, the record, and a CRC-32C over key and both. The
// key is in it so that a record found under another key is damage too.
const (
	recordFormat = 1
	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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

// codec is a record: the same walk over its fields writes and reads it.
type codec interface{ fields(f *fields) }

func (r *versionRecord) fields(f *fields) {
	f.number(&r.id)
	f.text(&r.owner)
	f.text(&r.name)
	f.text(&r.version)
	f.text(&r.creator)
	f.time(&r.created)
	f.text(&r.rank)
	f.flag(&r.draft)
	f.number(&r.released)
	f.number(&r.files)
	f.number(&r.bytes)
	r.downloads.fields(f)
}

func (r *fileRecord) fields(f *fields) {
	f.number(&r.id)
	f.text(&r.name)
	f.digest(&r.digest)
	f.number(&r.size)
	f.text(&r.creator)
	f.time(&r.created)
	r.downloads.fields(f)
}

func (d *downloads) fields(f *fields) {
	f.number(&d.count)
	if d.count > 0 {
		f.optionalTime(&d.last)
	}
}

func (r *blobRecord) fields(f *fields) {
	f.text((*string)(&r.locator))
	f.number(&r.size)
	f.number(&r.references)
	f.text(&r.hashes)
	f.text((*string)(&r.damage))
}

func (r *packageRecord) fields(f *fields) {
	f.number(&r.id)
	f.text(&r.name)
	r.published.fields(f)
	r.drafts.fields(f)
}

func (r *ownerRecord) fields(f *fields) {
	f.text(&r.name)
	f.number(&r.packages)
	r.published.fields(f)
	r.drafts.fields(f)
}

func (c *counts) fields(f *fields) {
	f.number(&c.versions)
	f.number(&c.files)
	f.number(&c.bytes)
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

func (r *graveRecord) fields(f *fields) { f.text(&r.lastFile) }

func (r *tombRecord) fields(f *fields) { f.text(&r.lastVersion) }

func (r *storeRecord) fields(f *fields) { f.text(&r.id) }

func (r *indexRecord) fields(f *fields) {
	f.number(&r.packageID)
	f.text(&r.name)
	f.text(&r.version)
}

func (*condemnedRecord) fields(*fields) {}

func (*damagedRecord) fields(*fields) {}

func (r *idRecord) fields(f *fields) { f.number(&r.next) }

// encode returns the value to store under a key.
func encode(key []byte, record codec) []byte {
	f := fields{writing: true, data: []byte{recordFormat}}
	record.fields(&f)
	return binary.BigEndian.AppendUint32(f.data, checksum(key, f.data))
}

// decode reads the value found under a key. Anything but what encode wrote is
// ErrDamaged.
func decode(key, value []byte, record codec) error {
	if len(value) < 1+checksumSize {
		return damaged(key, "too short")
	}
	data, sum := value[:len(value)-checksumSize], binary.BigEndian.Uint32(value[len(value)-checksumSize:])
	if checksum(key, data) != sum {
		return damaged(key, "checksum")
	}
	if data[0] != recordFormat {
		return damaged(key, fmt.Sprintf("format %d", data[0]))
	}
	f := fields{data: data[1:]}
	record.fields(&f)
	if f.short || len(f.data) > 0 {
		return damaged(key, "length")
	}
	return nil
}

func checksum(key, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, data)
}

func damaged(key []byte, what string) error {
	return fmt.Errorf("%w: record %q: %s", store.ErrDamaged, key, what)
}

// fields writes the fields of a record to data, or reads them from its front.
type fields struct {
	writing bool
	short   bool // reading: data ended within a field
	data    []byte
}

func (f *fields) number(n *uint64) {
	if f.writing {
		f.data = binary.AppendUvarint(f.data, *n)
		return
	}
	value, size := binary.Uvarint(f.data)
	if size <= 0 {
		f.fail()
		return
	}
	*n, f.data = value, f.data[size:]
}

// count keeps a number that is never below zero.
func (f *fields) count(n *int64) {
	number := uint64(*n)
	f.number(&number)
	*n = int64(number)
}

// flag keeps whether something is so.
func (f *fields) flag(is *bool) {
	var number uint64
	if *is {
		number = 1
	}
	f.number(&number)
	*is = number == 1
}

func (f *fields) text(s *string) {
	length := uint64(len(*s))
	f.number(&length)
	if f.writing {
		f.data = append(f.data, *s...)
		return
	}
	*s = string(f.take(length))
}

func (f *fields) digest(d *store.Digest) {
	if f.writing {
		f.data = append(f.data, d[:]...)
		return
	}
	copy(d[:], f.take(uint64(len(d))))
}

// time keeps nanoseconds since 1970, enough until 2262.
func (f *fields) time(t *time.Time) {
	if f.writing {
		nanoseconds := uint64(t.UnixNano())
		f.number(&nanoseconds)
		return
	}
	var nanoseconds uint64
	f.number(&nanoseconds)
	*t = time.Unix(0, int64(nanoseconds)).UTC()
}

// optionalTime keeps the zero time as it is.
func (f *fields) optionalTime(t *time.Time) {
	if f.writing && t.IsZero() {
		*t = time.Unix(0, 0)
	}
	f.time(t)
	if t.UnixNano() == 0 {
		*t = time.Time{}
	}
}

func (f *fields) pattern(p *store.Pattern) {
	text := p.String()
	f.text(&text)
	if f.writing || f.short {
		return
	}
	parsed, err := store.ParsePattern(text)
	if err != nil {
		f.fail()
	}
	*p = parsed
}

// list keeps any number of elements. A damaged length cannot take more memory
// than the record has bytes, each element being at least one.
func list[E any](f *fields, elements *[]E, field func(*E)) {
	length := uint64(len(*elements))
	f.number(&length)
	if !f.writing {
		if length > uint64(len(f.data)) {
			f.fail()
			return
		}
		*elements = nil
		if length > 0 {
			*elements = make([]E, length)
		}
	}
	for i := range *elements {
		field(&(*elements)[i])
	}
}

func (f *fields) take(length uint64) []byte {
	if length > uint64(len(f.data)) {
		f.fail()
		return nil
	}
	taken := f.data[:length]
	f.data = f.data[length:]
	return taken
}

func (f *fields) fail() { f.short, f.data = true, nil }
