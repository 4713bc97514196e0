package badger

import (
	"encoding/binary"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Keys begin with a letter that says what they are of. Names are folded and end
// with NUL, which no published name contains: no name is another's prefix, and a
// name with a NUL, which has one too many, finds nothing.
//
//	o/<owner>                        an owner
//	p/<owner> <package>              a package, and its id
//	v/<package id><version>          a version
//	f/<version id><file>             a file of a version
//	b/<digest>                       a blob
//	t/<owner> <inverted time, id>    a published version of an owner, newest first
//	u/<package id><inverted time, id>         one of a package, newest first
//	w/<package id><rank> <inverted time, id>  one of a package that is semver, by its rank
//	e/<time, id>                     a draft, the oldest first
//	d/<owner> <inverted time, id>    a draft of an owner, newest first
//	x/<version id>                   a deleted version whose files are left to clean up
//	y/<package id>                   a deleted package whose versions are left to clean up
//	c/<locator>                     a condemned locator
//	q/<digest>                       a blob that is damaged
//	k/<token id>                    a token
//	n/<token name>                  a token by name
//	l/<token id>                    when a token was last used
//	i/                              the next id
//	j/                              where the journal was, and the sums, at the last transaction
//	r/                              how far the last scrub came
//	s/                              the store's own ID
var (
	nextIDKey  = []byte("i/")
	stateKey   = []byte("j/")
	scrubKey   = []byte("r/")
	storeIDKey = []byte("s/")
)

const (
	versionPrefix   = "v/"
	filePrefix      = "f/"
	blobPrefix      = "b/"
	packagePrefix   = "p/"
	ownerPrefix     = "o/"
	timePrefix      = "t/"
	newestPrefix    = "u/"
	rankPrefix      = "w/"
	draftPrefix     = "e/"
	ownDraftPrefix  = "d/"
	condemnedPrefix = "c/"
	damagedPrefix   = "q/"
	gravePrefix     = "x/"
	tombPrefix      = "y/"
	tokenPrefix     = "k/"
	tokenNamePrefix = "n/"
	tokenUsePrefix  = "l/"
)

const separator = 0

// begin begins a key, with room for most.
func begin(prefix string) []byte { return append(make([]byte, 0, 64), prefix...) }

func versionKey(packageID uint64, version string) []byte {
	return appendName(idKey(versionPrefix, packageID), store.Fold(version))
}

// idKey begins the keys of what belongs to something with an id.
func idKey(prefix string, id uint64) []byte {
	return binary.BigEndian.AppendUint64(begin(prefix), id)
}

func packageKey(owner, pkg string) []byte {
	return appendName(packagesKey(owner), store.Fold(pkg))
}

// packagesKey is the prefix of an owner's packages.
func packagesKey(owner string) []byte {
	return appendName(begin(packagePrefix), store.Fold(owner))
}

func ownerKey(owner string) []byte {
	return appendName(begin(ownerPrefix), store.Fold(owner))
}

// timesKey is the prefix of an owner's versions by time.
func timesKey(owner string) []byte { return appendName(begin(timePrefix), store.Fold(owner)) }

// draftsKey is the prefix of an owner's drafts by time.
func draftsKey(owner string) []byte { return appendName(begin(ownDraftPrefix), store.Fold(owner)) }

// newestFirst sorts by time and by id, both inverted. Times before 1970 have their sign in
// the first bit.
func newestFirst(created time.Time, id uint64) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, orderSize), ^(uint64(created.UnixNano()) ^ 1<<63))
	return binary.BigEndian.AppendUint64(key, ^id)
}

// orderSize is how long what newestFirst returns is.
const orderSize = 16

func draftKey(created time.Time, id uint64) []byte {
	key := binary.BigEndian.AppendUint64(begin(draftPrefix), uint64(created.UnixNano())^1<<63)
	return binary.BigEndian.AppendUint64(key, id)
}

// filesKey is the prefix of a version's files.
func filesKey(versionID uint64) []byte { return idKey(filePrefix, versionID) }

func fileKey(versionID uint64, file string) []byte {
	return appendName(filesKey(versionID), store.Fold(file))
}

// keyID reads the id out of a key that begins with idKey.
func keyID(prefix string, key []byte) (uint64, error) {
	if len(key) < len(prefix)+8 {
		return 0, coding.Damaged(key, "length of key")
	}
	return binary.BigEndian.Uint64(key[len(prefix):]), nil
}

func blobKey(digest store.Digest) []byte {
	return append(begin(blobPrefix), digest[:]...)
}

func condemnedKey(locator store.Locator) []byte {
	return append(begin(condemnedPrefix), locator...)
}

func damagedKey(digest []byte) []byte {
	return append(begin(damagedPrefix), digest...)
}

func graveKey(versionID uint64) []byte { return idKey(gravePrefix, versionID) }

func tombKey(packageID uint64) []byte { return idKey(tombPrefix, packageID) }

func tokenKey(id string) []byte { return append(begin(tokenPrefix), id...) }

func tokenNameKey(name string) []byte {
	return appendName(begin(tokenNamePrefix), store.Fold(name))
}

func tokenUseKey(id string) []byte { return append(begin(tokenUsePrefix), id...) }

func appendName(key []byte, name string) []byte {
	return append(append(key, name...), separator)
}
