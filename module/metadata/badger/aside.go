package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// What was put aside is kept for a person to look at, but not for ever: it has names and
// digests of what was deleted since.
const (
	asidePrefix = "damaged-"
	asidesKept  = 3
	asideAge    = 30 * 24 * time.Hour
	asideStamp  = "20060102T150405Z"
)

// makeAside makes a directory for what is put aside.
func (h *home) makeAside() (string, error) {
	stamp := time.Now().UTC().Format(asideStamp)
	for i := 0; ; i++ {
		name := filepath.Join(h.path(), asidePrefix+stamp)
		if i > 0 {
			name = fmt.Sprintf("%s-%d", name, i)
		}
		err := h.fsys.MakeDirectory(name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("making a directory to put damaged files aside: %w", err)
		}
		return name, nil
	}
}

// removeAsides removes what was put aside long ago, or before too many others.
func (h *home) removeAsides() error {
	found, err := disk.Matching(h.path(), asidePrefix+"*")
	if err != nil {
		return fmt.Errorf("looking for what was put aside: %w", err)
	}
	found = slices.DeleteFunc(found, func(name string) bool { return asideTime(name).IsZero() }) // not ours; sorted by time
	for i, name := range found {
		if i >= len(found)-asidesKept && time.Since(asideTime(name)) < asideAge {
			continue
		}
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("removing what was put aside: %w", err)
		}
		h.log.Info("removed what was put aside", slog.String("directory", name))
	}
	return nil
}

// asideTime is when something was put aside, as the name tells. Zero when it does not.
func asideTime(name string) time.Time {
	stamp := filepath.Base(name)[len(asidePrefix):]
	at, _ := time.Parse(asideStamp, stamp[:min(len(stamp), len(asideStamp))])
	return at
}
