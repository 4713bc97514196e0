package badger

import (
	"errors"
	"slices"
)

// gravePage is how many deleted versions are in memory at once while all files are read.
const gravePage = 1_000

// graveCursor tells whether an id is that of a deleted version. It is asked in ascending
// order of ids, so that it reads the deleted versions in pages.
type graveCursor struct {
	reader reader
	prefix string   // gravePrefix, or tombPrefix for packages
	page   []uint64 // ids from a first one on, in order
	ended  bool     // no more come after those
}

// has tells whether the version of an id is deleted.
func (c *graveCursor) has(id uint64) (bool, error) {
	for len(c.page) > 0 && c.page[0] < id {
		c.page = c.page[1:]
	}
	if len(c.page) == 0 && !c.ended {
		if err := c.read(id); err != nil {
			return false, err
		}
	}
	return len(c.page) > 0 && c.page[0] == id, nil
}

// hasKey is has for the id that a key begins with.
func (c *graveCursor) hasKey(prefix string, key []byte) (bool, error) {
	id, err := keyID(prefix, key)
	if err != nil {
		return false, err
	}
	return c.has(id)
}

// read reads the page that begins at an id or after it.
func (c *graveCursor) read(from uint64) error {
	c.page = slices.Grow(c.page[:0], gravePage)
	err := c.reader.scan([]byte(c.prefix), idKey(c.prefix, from), func(key, _ []byte) error {
		if len(c.page) == gravePage {
			return errEnough
		}
		id, err := keyID(c.prefix, key)
		c.page = append(c.page, id)
		return err
	})
	c.ended = !errors.Is(err, errEnough)
	if !c.ended {
		return nil
	}
	return err
}
