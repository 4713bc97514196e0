package badger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	checksums "github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
)

// checkTables looks at the manifest and the tables, and returns the last transaction that
// those have.
func checkTables(path string, options badger.Options) (newest uint64, err error) {
	tables, err := checkManifest(path, options)
	if err != nil {
		return 0, err
	}
	levels := make(map[uint8][]tableRange)
	for id, manifest := range tables {
		keys, last, err := checkTable(table.NewFilename(id, path), options, manifest)
		if err != nil {
			return 0, err
		}
		newest = max(newest, last)
		if manifest.Level > 0 {
			levels[manifest.Level] = append(levels[manifest.Level], keys)
		}
	}
	for level, ranges := range levels {
		if err := checkLevel(ranges); err != nil {
			return 0, fmt.Errorf("%w: level %d: %w", errDatabase, level, err)
		}
	}
	return newest, nil
}

// tableRange is the first and the last key of a table.
type tableRange struct{ first, last []byte }

// checkLevel compares the tables of a level below 0, which have no key in common. Compactions
// that the disk let fail can leave others, which Badger never opens.
func checkLevel(ranges []tableRange) error {
	slices.SortFunc(ranges, func(a, b tableRange) int { return y.CompareKeys(a.first, b.first) })
	for i := 1; i < len(ranges); i++ {
		if y.CompareKeys(ranges[i-1].last, ranges[i].first) >= 0 {
			return errors.New("two of its tables overlap")
		}
	}
	return nil
}

// checkTable opens a table, which compares its checksums, and returns its range and the last
// transaction that it has. A damaged footer panics.
func checkTable(name string, options badger.Options, manifest badger.TableManifest) (keys tableRange, last uint64, err error) {
	damage := func(what any) (tableRange, uint64, error) {
		return tableRange{}, 0, fmt.Errorf("%w: table %s: %v", errDatabase, filepath.Base(name), what)
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return damage("it is missing")
	}
	if err == nil && info.Size() == 0 {
		// Badger empties a file before it removes it, and either can fail.
		return damage("it is empty")
	}
	if err != nil {
		return keys, 0, fmt.Errorf("asking for table: %w", err)
	}
	file, err := z.OpenMmapFile(name, os.O_RDONLY, 0)
	if err != nil && err != z.NewFile {
		return keys, 0, fmt.Errorf("opening table: %w", err)
	}
	var opened *table.Table
	err = guard(func() (err error) {
		opened, err = table.OpenTable(file, table.Options{
			ReadOnly:    true,
			BlockSize:   options.BlockSize,
			Compression: manifest.Compression,
			ChkMode:     checksums.OnTableRead,
		})
		return err
	})
	if err != nil {
		// What the disk did not give says nothing about what was written.
		if _, reading := os.ReadFile(name); reading != nil {
			err = fmt.Errorf("reading table: %w", reading)
		} else {
			_, _, err = damage(err)
		}
		return keys, 0, errors.Join(err, file.Close(-1))
	}
	keys, last = tableRange{bytes.Clone(opened.Smallest()), bytes.Clone(opened.Biggest())}, opened.MaxVersion()
	if err := opened.Close(-1); err != nil {
		return keys, 0, fmt.Errorf("closing table: %w", err)
	}
	return keys, last, nil
}
