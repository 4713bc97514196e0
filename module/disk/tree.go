package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// IsEmpty tells whether a directory has nothing in it. fs.ErrNotExist.
func IsEmpty(path string) (bool, error) {
	directory, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("opening directory: %w", err)
	}
	defer directory.Close()
	_, err = directory.Readdirnames(1)
	if err == io.EOF {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading directory: %w", err)
	}
	return false, nil
}

// Matching returns the paths, sorted, of what is in a directory and has a name that matches a
// pattern of filepath.Match. Unlike for filepath.Glob, the path of the directory is no pattern. A
// directory that is not there has nothing.
func Matching(directory, pattern string) (paths []string, err error) {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		is, err := filepath.Match(pattern, entry.Name())
		if err != nil {
			return nil, err
		}
		if is {
			paths = append(paths, filepath.Join(directory, entry.Name()))
		}
	}
	return paths, nil
}

// RemoveAll removes a file, or a directory with what is in it. Nothing there is
// not an error.
func RemoveAll(fsys FS, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := RemoveAll(fsys, filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return fsys.Remove(path)
}
