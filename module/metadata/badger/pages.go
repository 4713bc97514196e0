package badger

import (
	"errors"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// filesAfter returns the next files of a version after a folded name.
func filesAfter(r reader, id uint64, last string, limit int) ([]fileRecord, error) {
	return recordsAfter[fileRecord](r, filesKey(id), last, limit)
}

// versionsAfter returns the next versions of a package after a folded name.
func versionsAfter(r reader, id uint64, last string, limit int) ([]versionRecord, error) {
	return recordsAfter[versionRecord](r, idKey(versionPrefix, id), last, limit)
}

// recordsAfter returns the next records of a prefix after a folded name.
func recordsAfter[R any, P interface {
	*R
	coding.Record
}](r reader, prefix []byte, last string, limit int) (records []R, err error) {
	err = r.scan(prefix, afterName(prefix, last), func(key, value []byte) error {
		if len(records) == limit {
			return errEnough
		}
		records = append(records, *new(R))
		return coding.Decode(key, value, P(&records[len(records)-1]))
	})
	return records, unlessEnough(err)
}

// afterName is where the keys begin that come after a folded name.
func afterName(prefix []byte, last string) []byte {
	if last == "" {
		return prefix
	}
	return append(appendName(append([]byte(nil), prefix...), store.Fold(last)), 0)
}

// unlessEnough returns the error of a scan that may have been ended.
func unlessEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
