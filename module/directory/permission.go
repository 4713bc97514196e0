package directory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// OwnedBy says whom a file belongs to, as a part of a sentence. Empty where nobody
// knows.
func OwnedBy(path string) string {
	if owner, known := OwnerOf(path); known {
		return ", which belongs to the user " + owner
	}
	return ""
}

// OrPermission says whose a directory is and who may not open it.
func OrPermission(err error) error {
	var refused *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &refused) {
		return err
	}
	me := UserName(os.Geteuid())
	return fmt.Errorf("the user %[1]s, whom this process runs as, may not open %[2]s%[3]s: give the registry's directories to %[1]s (chown -R %[1]s <root>): %[4]w",
		me, refused.Path, deniedAt(refused.Path), err)
}

// deniedAt says whom the nearest file on a path belongs to that this process can see.
func deniedAt(path string) string {
	if text := OwnedBy(path); text != "" {
		return text
	}
	for parent := filepath.Dir(path); parent != path; path, parent = parent, filepath.Dir(parent) {
		if owner, known := OwnerOf(parent); known {
			return fmt.Sprintf(" (%s belongs to the user %s)", parent, owner)
		}
	}
	return ""
}
