package push

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// local is a file of this machine that is to be published.
type local struct {
	path string
	name string // that it is published under
	size int64
}

// collect finds the files that arguments name: files, folders with all below them, and
// patterns. It reports everything that is wrong with their names at once: two that would be
// one file, and those that no registry takes.
func collect(arguments []string, chosen client.Filter, names naming.FileNames) ([]local, error) {
	var files []local
	for _, argument := range arguments {
		paths, err := expand(argument)
		if err != nil {
			return nil, err
		}
		for _, place := range paths {
			found, err := below(place, chosen)
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	if len(files) == 0 {
		return nil, errors.New("there is nothing to push: no file was chosen")
	}
	return unique(files, names)
}

// expand returns what an argument means: itself when it is there, else what matches it. A
// pattern need not be a name that the system takes: Windows takes no * in names.
func expand(argument string) ([]string, error) {
	_, missing := os.Stat(argument)
	if missing == nil {
		return []string{argument}, nil
	}
	paths, err := filepath.Glob(argument)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the pattern %q: %w", argument, err)
	case len(paths) > 0:
		return paths, nil
	case errors.Is(missing, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file or folder %s", argument)
	}
	return nil, missing
}

// below finds the files in a folder, or the file itself. Links to files are followed, and
// links to folders are not.
func below(root string, chosen client.Filter) (files []local, err error) {
	err = filepath.WalkDir(root, func(place string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(place)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, place)
		if err != nil {
			return err
		}
		if relative == "." {
			relative = filepath.Base(place)
		}
		switch {
		case info.IsDir():
			if place == root && !entry.IsDir() { // a link to a folder that was named
				linked, err := filepath.EvalSymlinks(place)
				if err != nil {
					return err
				}
				files, err = below(linked, chosen)
				return err
			}
			return nil
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is no file", place)
		case !chosen.Takes(filepath.ToSlash(relative)):
			return nil
		}
		files = append(files, local{path: place, name: filepath.Base(place), size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for files: %w", err)
	}
	return files, nil
}

// unique drops what was named twice, and reports names that cannot be published together.
func unique(files []local, names naming.FileNames) (kept []local, err error) {
	var problems []error
	first := make(map[string]local)
	for _, file := range files {
		if err := naming.CheckFile(file.name, names); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w: %q", file.path, err, file.name))
			continue
		}
		earlier, taken := first[store.Fold(file.name)]
		switch {
		case !taken:
			first[store.Fold(file.name)] = file
			kept = append(kept, file)
		case !sameFile(earlier.path, file.path):
			problems = append(problems, fmt.Errorf("%s and %s would both be %s: versions have no folders, and names do not differ by case", earlier.path, file.path, file.name))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("nothing was sent: %w", errors.Join(problems...))
	}
	return kept, nil
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
