package bucket

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Object is what a list says of an object.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time // by the server's clock
}

// List goes through the objects under a prefix, in the order of their keys. It ends with an
// error. Most is how many a request asks for, zero as many as the server gives.
func (b *Bucket) List(ctx context.Context, prefix string, most int) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := b.Usable(ctx); err != nil {
			yield(Object{}, err)
			return
		}
		dog := watch(ctx, b.timeout())
		defer dog.End(errStopped)
		options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: most}
		for found := range b.client().ListObjectsIter(dog.Ctx, b.name, options) {
			dog.Rest()
			if err := b.answered(dog, "listing objects", found.Err); err != nil {
				yield(Object{}, err)
				return
			}
			if !yield(Object{found.Key, found.Size, found.LastModified}, nil) {
				return
			}
			dog.Expect()
		}
		if err := b.answered(dog, "listing objects", context.Cause(dog.Ctx)); err != nil {
			yield(Object{}, err)
		}
	}
}

// isListed tells whether a list of the bucket has a key.
func (b *Bucket) isListed(ctx context.Context, key string) (bool, error) {
	for object, err := range b.List(ctx, key, 1) {
		return err == nil && object.Key == key, err
	}
	return false, nil
}

// missing turns errAbsent into store.ErrBlobNotFound, when a list of the bucket says the same,
// and another one has the mark: an answer of something that is no S3 server, or an empty
// bucket in the place of the right one, is no word on an object.
func (b *Bucket) missing(ctx context.Context, key string, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	listed, listErr := b.isListed(ctx, key)
	switch {
	case listErr != nil:
		return listErr
	case listed:
		return fmt.Errorf("%w: the object is listed: %v", store.ErrUnavailable, err)
	case key == b.mark:
		return fmt.Errorf("%w: %v", store.ErrBlobNotFound, err)
	}
	if markErr := b.checkMark(ctx); markErr != nil {
		return fmt.Errorf("%w: %v", markErr, err)
	}
	return fmt.Errorf("%w: %v", store.ErrBlobNotFound, err)
}

// Size asks for the size of an object.
func (b *Bucket) Size(ctx context.Context, key string) (size int64, err error) {
	err = b.request(ctx, "asking for an object", func(ctx context.Context, client *minio.Core) error {
		info, err := client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
		size = info.Size
		return err
	})
	return size, b.missing(ctx, key, err)
}

// Read reads an object that has a place in memory.
func (b *Bucket) Read(ctx context.Context, key string) ([]byte, error) {
	if err := b.Usable(ctx); err != nil {
		return nil, err
	}
	dog := watch(ctx, b.timeout())
	defer dog.End(errStopped)
	content, err := b.read(dog, key)
	return content, b.missing(ctx, key, b.answered(dog, "reading an object", err))
}

func (b *Bucket) read(dog *waiting.Watchdog, key string) ([]byte, error) {
	body, info, _, err := b.client().GetObject(dog.Ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(expected{body, dog})
	if err == nil && int64(len(content)) != info.Size {
		err = io.ErrUnexpectedEOF
	}
	return content, err
}

// Put makes an object of bytes that are in memory.
func (b *Bucket) Put(ctx context.Context, key string, content []byte) error {
	return b.put(ctx, key, content, minio.PutObjectOptions{})
}

// PutNew is Put of an object that is not there yet, or else ErrTaken.
func (b *Bucket) PutNew(ctx context.Context, key string, content []byte) error {
	return b.put(ctx, key, content, onlyNew())
}

// onlyNew has the server make no object in the place of one that is there: ErrTaken.
func onlyNew() (options minio.PutObjectOptions) {
	options.SetMatchETagExcept("*")
	return options
}

// put signs the bytes as a whole. Signed in pieces, as the library does when it is not told
// their digest, no bytes would be a body of unknown length, whose end Versity's gateway
// leaves unread, and takes for the next request of the connection.
func (b *Bucket) put(ctx context.Context, key string, content []byte, options minio.PutObjectOptions) error {
	digest := sha256.Sum256(content)
	options.DisableContentSha256 = true
	return b.send(ctx, "writing an object", content, func(ctx context.Context, client *minio.Core, body io.Reader) error {
		_, err := client.PutObject(ctx, b.name, key, body, int64(len(content)), "", hex.EncodeToString(digest[:]), options)
		return err
	})
}

// Remove deletes an object. An absent one is not an error.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	err := b.request(ctx, "deleting an object", func(ctx context.Context, client *minio.Core) error {
		return client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{})
	})
	if errors.Is(b.missing(ctx, key, err), store.ErrBlobNotFound) {
		return nil
	}
	return err
}

// RemoveAll deletes objects, a thousand in a request, and returns the keys of those that are
// gone, with an error too. Without an error all are: where each is a request of its own, on
// Google, the library says nothing of those that are absent.
func (b *Bucket) RemoveAll(ctx context.Context, keys []string) (gone []string, err error) {
	if err := b.Usable(ctx); err != nil {
		return nil, err
	}
	dog := watch(ctx, b.timeout())
	defer dog.End(errStopped)
	results, err := b.client().RemoveObjectsWithIter(dog.Ctx, b.name, func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			dog.Expect() // the request comes after this key, or after one of the next
			if !yield(minio.ObjectInfo{Key: key}) {
				return
			}
		}
	}, minio.RemoveObjectsOptions{})
	if err != nil {
		return nil, b.answered(dog, "deleting objects", err)
	}
	for result := range results {
		if result.Err != nil && minio.ToErrorResponse(result.Err).Code != minio.NoSuchKey {
			err = result.Err
			continue
		}
		gone = append(gone, result.ObjectName)
	}
	if err = b.answered(dog, "deleting objects", cmp.Or(err, context.Cause(dog.Ctx))); err == nil {
		gone = keys
	}
	return gone, err
}
