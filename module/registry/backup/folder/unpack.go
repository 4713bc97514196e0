package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// unpacking writes the entries of a backup as files, durable once sync returned.
type unpacking struct {
	fsys disk.FS
	into string

	mu      sync.Mutex
	made    map[string]bool // directories of blobs
	lacking map[store.Digest]backup.DamagedBlob
}

// lack takes note of blobs that the backup lacks, until one of their digest is written.
func (u *unpacking) lack(blobs []backup.DamagedBlob) {
	for _, blob := range blobs {
		u.lacking[blob.Digest] = blob
	}
}

// makeDirectories makes the folders that every backup has.
func (u *unpacking) makeDirectories() error {
	for _, path := range []string{u.into, filepath.Join(u.into, checkpointFolder), filepath.Join(u.into, journalFolder), filepath.Join(u.into, blobsFolder)} {
		if err := u.fsys.MakeDirectory(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making a directory of the backup: %w", err)
		}
	}
	return nil
}

// writeLines writes the lines of a backup and returns the names of the files. What a
// backup that was interrupted left of the same lines is removed first.
func (u *unpacking) writeLines(reader *backup.Reader) (names []string, err error) {
	if err := u.makeDirectories(); err != nil {
		return nil, err
	}
	if err := removeLinesAfter(u.into, reader.Head().Since); err != nil {
		return nil, err
	}
	for {
		lines, err := reader.NextLines()
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		name := filepath.Join(u.into, reader.Name())
		if err := disk.WriteFile(u.fsys, name, string(lines)); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
}

// removeLinesAfter removes the files with lines that come after a position.
func removeLinesAfter(path string, at store.Position) error {
	for _, folder := range lineFolders {
		entries, err := os.ReadDir(filepath.Join(path, folder))
		if err != nil {
			return fmt.Errorf("reading the journal of the backup: %w", err)
		}
		for _, entry := range entries {
			first, _, checkpoint, err := backup.ParseLinesName(folder + "/" + entry.Name())
			if err == nil && (first <= at.Sequence || checkpoint && at.Sequence > 0) {
				continue
			}
			if err := os.Remove(filepath.Join(path, folder, entry.Name())); err != nil {
				return fmt.Errorf("removing what an interrupted backup left: %w", err)
			}
		}
	}
	return nil
}

// writeBlob writes one blob in one step: what has its name is whole. The names of all blobs
// become durable together (sync), in place of one by one (disk.Place).
func (u *unpacking) writeBlob(blob store.Blob, content io.Reader, count func(size int64)) error {
	directory, name, err := blob.Locator.Split()
	if err != nil {
		return err
	}
	directory = filepath.Join(u.into, blobsFolder, directory)
	if err := u.makeDirectory(directory); err != nil {
		return err
	}
	place := filepath.Join(directory, name)
	temporary := disk.Temporary(place)
	err = disk.WriteDurably(u.fsys, temporary, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
	if err == nil {
		err = u.fsys.Rename(temporary, place)
	}
	if err != nil {
		return fmt.Errorf("writing blob: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lacking, blob.Digest)
	count(blob.Size)
	return nil
}

func (u *unpacking) makeDirectory(path string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.made[path] {
		return nil
	}
	if err := u.fsys.MakeDirectory(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making a directory of blobs: %w", err)
	}
	u.made[path] = true
	return nil
}

// sync makes the names of all that was written durable.
func (u *unpacking) sync() error {
	for path := range u.made {
		if err := u.fsys.SyncDirectory(path); err != nil {
			return fmt.Errorf("syncing the backup: %w", err)
		}
	}
	for _, path := range []string{filepath.Join(u.into, blobsFolder), filepath.Join(u.into, checkpointFolder), filepath.Join(u.into, journalFolder), u.into} {
		if err := u.fsys.SyncDirectory(path); err != nil {
			return fmt.Errorf("syncing the backup: %w", err)
		}
	}
	return nil
}
