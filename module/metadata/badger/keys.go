package badger

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Keys begin with a letter that says what they are of. Names are folded and end
// with NUL, which no published name contains: no name is another's prefix, and a
// name with a NUL, which has one too many, finds nothing.
//
//	v/<owner> <package> <version>   a version
//	f/<version id> <file>           a file of a version
//	b/<digest>                      a blob
//	p/<owner> <package>             a package
//	o/<owner>                       an owner
//	t/<owner> <inverted time, id>   a version by time, newest first
//	c/<locator>                     a condemned locator
//	x/<version id>                  a deleted version whose files are left to clean up
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
	condemnedPrefix = "c/"
	gravePrefix     = "x/"
	tokenPrefix     = "k/"
	tokenNamePrefix = "n/"
	tokenUsePrefix  = "l/"
)

const separator = 0

func versionKey(ref store.VersionRef) []byte {
	ref = ref.Key()
	key := make([]byte, 0, len(versionPrefix)+len(ref.Owner)+len(ref.Package)+len(ref.Version)+3)
	key = append(key, versionPrefix...)
	key = appendName(key, ref.Owner)
	key = appendName(key, ref.Package)
	return appendName(key, ref.Version)
}

// versionNames reads the owner out of a version's key, and owner and package: what
// follows the prefix in their own keys.
func versionNames(key []byte) (owner, pkg []byte, err error) {
	names := bytes.TrimPrefix(key, []byte(versionPrefix))
	end := bytes.IndexByte(names, separator) + 1
	next := bytes.IndexByte(names[end:], separator) + 1
	if end == 0 || next == 0 {
		return nil, nil, damaged(key, "names in key")
	}
	return names[:end], names[:end+next], nil
}

func packageKey(ref store.VersionRef) []byte {
	ref = ref.Key()
	return appendName(appendName([]byte(packagePrefix), ref.Owner), ref.Package)
}

func ownerKey(owner string) []byte {
	return appendName([]byte(ownerPrefix), store.Fold(owner))
}

// timeKey sorts an owner's versions newest first: time and id are inverted.
func timeKey(owner string, created time.Time, id uint64) []byte {
	return append(appendName([]byte(timePrefix), store.Fold(owner)), newestFirst(created, id)...)
}

// newestFirst sorts by time and by id, both inverted. Times before 1970 have their sign in
// the first bit.
func newestFirst(created time.Time, id uint64) []byte {
	key := binary.BigEndian.AppendUint64(nil, ^(uint64(created.UnixNano()) ^ 1<<63))
	return binary.BigEndian.AppendUint64(key, ^id)
}

// filesKey is the prefix of a version's files.
func filesKey(versionID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(filePrefix), versionID)
}

func fileKey(versionID uint64, file string) []byte {
	return appendName(filesKey(versionID), store.Fold(file))
}

// fileVersion reads the version's id out of a file's key.
func fileVersion(key []byte) (uint64, error) {
	if len(key) < len(filePrefix)+8 {
		return 0, damaged(key, "length of key")
	}
	return binary.BigEndian.Uint64(key[len(filePrefix):]), nil
}

func blobKey(digest store.Digest) []byte {
	return append([]byte(blobPrefix), digest[:]...)
}

func condemnedKey(locator store.Locator) []byte {
	return append([]byte(condemnedPrefix), locator...)
}

func graveKey(versionID uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(gravePrefix), versionID)
}

func tokenKey(id string) []byte { return append([]byte(tokenPrefix), id...) }

func tokenNameKey(name string) []byte {
	return appendName([]byte(tokenNamePrefix), store.Fold(name))
}

func tokenUseKey(id string) []byte { return append([]byte(tokenUsePrefix), id...) }

func appendName(key []byte, name string) []byte {
	return append(append(key, name...), separator)
}
