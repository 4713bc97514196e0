package badger

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copySparse copies a store that is open, as a kill leaves it. Names come in order,
// which is blobs, then metadata: there Badger's files, whose names are digits and
// capitals, before the journal. Holes stay holes.
func copySparse(to, from string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return ignoreMissing(err)
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if filepath.Base(filepath.Dir(name)) == ballastDirectory {
			return ignoreMissing(os.Link(name, target)) // its bytes say nothing
		}
		return copyFile(target, name)
	})
}

// ignoreMissing forgives what was deleted meanwhile.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return ignoreMissing(err)
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	defer target.Close()
	buffer, size := make([]byte, 64<<10), int64(0)
	for {
		n, err := io.ReadFull(source, buffer)
		if !allZero(buffer[:n]) {
			if _, err := target.WriteAt(buffer[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return target.Truncate(size)
		}
		if err != nil {
			return err
		}
	}
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
