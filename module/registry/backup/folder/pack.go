package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Open returns the backup in a directory as the stream that it was
// unpacked from. A stream that somebody unpacked with other tools will do as well.
// ErrIncomplete when there is none, or not all of it.
func Open(path string) (io.ReadCloser, error) {
	// A full backup that only has to take its place is the newer one.
	if _, done, err := readHead(filepath.Join(path, unfinished)); err != nil {
		return nil, err
	} else if done {
		directory, err := Take(path)
		if err != nil {
			return nil, err
		}
		if err := directory.Release(); err != nil {
			return nil, err
		}
	}
	head, whole, err := readHead(path)
	if err != nil {
		return nil, err
	}
	if !whole {
		if whole, err = isUnpackedStream(path, &head); err != nil {
			return nil, err
		}
	}
	if !whole {
		return nil, fmt.Errorf("%w: %s has no %s that says it is whole", store.ErrIncomplete, path, headFile)
	}
	names, err := linesUpTo(path, head.Position)
	if err != nil {
		return nil, err
	}
	return backup.ReadWritten(func(w io.Writer) error { return pack(w, path, head, names) }), nil
}

// isUnpackedStream tells whether a directory has all entries of a stream, and adds
// what else they say to the head.
func isUnpackedStream(path string, head *folderHead) (bool, error) {
	var end backup.End
	if found, err := readEntry(path, endFile, &end); !found || err != nil {
		return false, err
	}
	if _, err := readEntry(path, damageFile, &head.Damaged); err != nil {
		return false, err
	}
	return end.Position == head.Position && head.Format > 0, nil
}

func readEntry(path, name string, value any) (found bool, err error) {
	text, err := os.ReadFile(filepath.Join(path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %s of the backup: %w", store.ErrDamaged, name, err)
	}
	return true, nil
}

// linesUpTo returns the files with the lines of a backup, in their order: those of its
// checkpoint first. Others are of a backup that was interrupted.
func linesUpTo(path string, at store.Position) (names []string, err error) {
	for _, folder := range lineFolders {
		entries, err := os.ReadDir(filepath.Join(path, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the journal of the backup: %w", err)
		}
		for _, entry := range entries { // in the order of their names
			name := folder + "/" + entry.Name()
			if first, _, checkpoint, err := backup.ParseLinesName(name); err == nil && (checkpoint || first <= at.Sequence) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// pack writes the files of a backup as a stream.
func pack(w io.Writer, path string, head folderHead, names []string) error {
	out, err := backup.NewWriter(w, head.Head)
	if err != nil {
		return err
	}
	for _, name := range names {
		lines, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			return fmt.Errorf("reading the journal of the backup: %w", err)
		}
		if err := out.WriteLines(name, lines); err != nil {
			return err
		}
	}
	at := head.Since
	for _, name := range names {
		lines, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			return fmt.Errorf("reading the journal of the backup: %w", err)
		}
		if at, err = jsonl.ReadLines(lines, at, func(change store.Change) error { return packBlob(out, path, change) }); err != nil {
			return err
		}
	}
	_, err = out.End(head.Damaged)
	return err
}

// packBlob writes the bytes that a change names, if the backup has them.
func packBlob(out *backup.Writer, path string, change store.Change) error {
	if !change.NamesBytes() || out.HasBlob(change.Locator) {
		return nil
	}
	directory, name, err := change.Locator.Split()
	if err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(path, blobsFolder, directory, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted before the backup was made
	}
	if err != nil {
		return fmt.Errorf("opening a blob of the backup: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening a blob of the backup: %w", err)
	}
	return out.WriteBlob(change.Locator, info.Size(), file)
}

// readFiles reads files one after the other.
func readFiles(names []string) io.ReadCloser { return &fileSequence{names: names} }

type fileSequence struct {
	names []string
	file  *os.File
}

func (s *fileSequence) Read(p []byte) (int, error) {
	for {
		if s.file == nil {
			if len(s.names) == 0 {
				return 0, io.EOF
			}
			file, err := os.Open(s.names[0])
			if err != nil {
				return 0, err
			}
			s.file, s.names = file, s.names[1:]
		}
		n, err := s.file.Read(p)
		if err != io.EOF {
			return n, err
		}
		if err := s.Close(); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (s *fileSequence) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
