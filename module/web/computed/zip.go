package computed

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// writeZip writes a version as a zip: its files without a folder in front, in the order of
// their names, not compressed. The checksum of a file is known when its bytes were read, so
// that it follows them, and a zip has neither a size before nor ranges. Memory grows by about
// 300 bytes with each file, of which the directory at the end consists. That is written only
// when the files are those that there were at the beginning.
func writeZip(ctx context.Context, w io.Writer, v *version, open opener) error {
	before, err := filesParts(ctx, v, func(store.File) error { return nil }).measure()
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	added, err := filesParts(ctx, v, func(file store.File) error {
		if err := addToZip(archive, file, open); err != nil {
			return fmt.Errorf("adding %s to a zip: %w", file.File, err)
		}
		return nil
	}).measure()
	switch {
	case err != nil:
		return err
	case added != before:
		return errChanged
	}
	return archive.Close()
}

// filesParts are the names and the bytes of a version's files. It calls a function with each
// file.
func filesParts(ctx context.Context, v *version, each func(store.File) error) parts {
	return func(yield func(part, error) bool) {
		for file, err := range v.files(ctx) {
			if err == nil {
				err = each(file)
			}
			if err != nil {
				yield(part{}, err)
				return
			}
			if !yield(part{text: []byte(file.File)}, nil) || !yield(part{file: &file}, nil) {
				return
			}
		}
	}
}

func addToZip(archive *zip.Writer, file store.File, open opener) error {
	head := &zip.FileHeader{Name: file.File, Method: zip.Store, Modified: file.Created.UTC().Truncate(time.Second)}
	head.SetMode(fileMode)
	in, err := archive.CreateHeader(head)
	if err != nil {
		return err
	}
	content, err := open(file, true)
	if err != nil {
		return err
	}
	defer content.Close()
	n, err := io.Copy(in, content)
	if err == nil && n != file.Size {
		err = fmt.Errorf("%w: %d bytes of %d", store.ErrDamaged, n, file.Size)
	}
	return err
}
