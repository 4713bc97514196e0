package computed

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// pageOfFiles is how many files of a version are in memory at once.
const pageOfFiles = 500

// lister lists files, as a registry does.
type lister interface {
	Files(context.Context, store.FileQuery) (store.FilePage, error)
}

// errChanged: the version has other files than when the walk before began.
var errChanged = fmt.Errorf("%w: the version changed while it was read", store.ErrUnavailable)

// Version is what something is computed of.
type Version struct {
	store.VersionRef
	// Draft tells that the version is a draft, which writers of the package get.
	Draft bool
	// Verify has files compared with their digests: no complete archive has other bytes than
	// those that were published.
	Verify bool
}

// version is one whose files are walked over more than once.
type version struct {
	lister lister
	draft  bool
	seen   store.VersionInfo
}

// findVersion finds a version. ErrPackageNotFound.
func findVersion(ctx context.Context, files lister, of Version) (*version, error) {
	page, err := files.Files(ctx, store.FileQuery{VersionRef: of.VersionRef, Draft: of.Draft, Limit: 1})
	if err != nil {
		return nil, err
	}
	return &version{files, of.Draft, page.Version}, nil
}

// files walks over the files, in the order of their names. It fails when the version is not
// as it was found.
func (v *version) files(ctx context.Context) func(yield func(store.File, error) bool) {
	return func(yield func(store.File, error) bool) {
		query := store.FileQuery{VersionRef: v.seen.VersionRef, Draft: v.draft, Limit: pageOfFiles}
		for {
			page, err := v.lister.Files(ctx, query)
			if err == nil && !v.isAsSeen(page.Version) {
				err = errChanged
			}
			if err != nil {
				yield(store.File{}, err)
				return
			}
			for _, file := range page.Files {
				if !yield(file, nil) {
					return
				}
			}
			if query.After = page.Next; query.After == "" {
				return
			}
		}
	}
}

// isAsSeen compares what any change of the files changes.
func (v *version) isAsSeen(now store.VersionInfo) bool {
	return now.ID == v.seen.ID && now.Files == v.seen.Files && now.Bytes == v.seen.Bytes
}
