package computed

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// tarBlock is what headers and contents are padded to (POSIX.1, pax Interchange Format).
const tarBlock = 512

// fileMode is that of every file of an archive.
const fileMode = 0o644

// tarParts is a version as a tar: its files without a folder in front, in the order of their
// names. The same files give the same bytes each time.
func tarParts(ctx context.Context, v *version) parts {
	return func(yield func(part, error) bool) {
		for file, err := range v.files(ctx) {
			var head []byte
			if err == nil {
				head, err = tarHeader(file)
			}
			if err != nil {
				yield(part{}, err)
				return
			}
			padding := make([]byte, tarPadding(file.Size))
			if !yield(part{text: head}, nil) || !yield(part{file: &file}, nil) || !yield(part{text: padding}, nil) {
				return
			}
		}
		yield(part{text: make([]byte, TarEnd)}, nil)
	}
}

// TarEnd is the size of the end of a tar, and of a tar without files.
const TarEnd = 2 * tarBlock

// TarSize is by how much a file makes a tar larger.
func TarSize(file store.File) (int64, error) {
	head, err := tarHeader(file)
	return int64(len(head)) + file.Size + tarPadding(file.Size), err
}

func tarPadding(size int64) int64 { return -size & (tarBlock - 1) }

// tarHeader returns what stands before a file's bytes.
func tarHeader(file store.File) ([]byte, error) {
	var head bytes.Buffer
	err := tar.NewWriter(&head).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: file.File, Size: file.Size, Mode: fileMode,
		ModTime: file.Created.UTC().Truncate(time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("making the header of %s in a tar: %w", file.File, err)
	}
	return head.Bytes(), nil
}
