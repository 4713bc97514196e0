package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// reader reads an object by ranges. It belongs to one goroutine.
type reader struct {
	bucket *Bucket
	key    string
	size   int64
	at     int64 // where the caller is

	stream    *answer // nil until bytes are wanted
	continued bool    // a stream broke, and another one went on
	closed    bool
}

// answer is the bytes of one request.
type answer struct {
	body    io.ReadCloser
	dog     *waiting.Watchdog
	at, end int64
}

func (a *answer) close() {
	a.dog.End(errStopped)
	_ = a.body.Close() // it was only read
}

// Open reads an object of a size, which it asks for a section at once, so that an object that
// is missing is told. A section without bytes says that nobody knows yet which ones are
// wanted. store.ErrDamaged when the object has another size.
func (b *Bucket) Open(ctx context.Context, key string, size int64, want remote.Section) (io.ReadSeekCloser, error) {
	if err := b.Usable(ctx); err != nil {
		return nil, err
	}
	r := &reader{bucket: b, key: key, size: size}
	if want.Length > 0 || size == 0 {
		stream, err := b.get(ctx, key, size, want.Offset, want.Offset+want.Length)
		if err != nil {
			return nil, err
		}
		r.stream = stream
		return r, nil
	}
	found, err := b.Size(ctx, key)
	if err != nil {
		return nil, err
	}
	if found != size {
		return nil, otherSize(key, found, size)
	}
	return r, nil
}

func otherSize(key string, found, size int64) error {
	return fmt.Errorf("%w: object %s has %d bytes, not %d", store.ErrDamaged, key, found, size)
}

// get asks for the bytes of an object from a place to another. The context bounds the time
// until the answer begins.
func (b *Bucket) get(ctx context.Context, key string, size, from, to int64) (*answer, error) {
	dog := watch(context.WithoutCancel(ctx), b.timeout())
	leave := dog.Follow(ctx)
	a, err := b.ranged(dog, key, size, from, to)
	leave()
	if err != nil {
		dog.End(errStopped)
		return nil, b.missing(ctx, key, err)
	}
	dog.Rest()
	return a, nil
}

func (b *Bucket) ranged(dog *waiting.Watchdog, key string, size, from, to int64) (*answer, error) {
	var options minio.GetObjectOptions
	whole := from == 0 && to == size
	if !whole {
		if err := options.SetRange(from, to-1); err != nil {
			return nil, fmt.Errorf("asking for a range: %w", err)
		}
	}
	body, info, header, err := b.client().GetObject(dog.Ctx, b.name, key, options)
	err = b.answered(dog, "reading an object", err)
	if errors.Is(err, errOtherRange) {
		return nil, fmt.Errorf("%w: object %s has not all of %d bytes: %v", store.ErrDamaged, key, size, err)
	}
	if err != nil {
		return nil, err
	}
	found := info.Size
	if !whole {
		found, err = totalOf(header, from)
	}
	switch {
	case err != nil:
	case found < 0:
		err = fmt.Errorf("%w: the server does not tell the size of an object", store.ErrUnavailable)
	case found != size:
		err = otherSize(key, found, size)
	default:
		return &answer{body, dog, from, to}, nil
	}
	_ = body.Close() // nothing was read
	return nil, err
}

// totalOf returns the size of an object of which an answer has a range (RFC 9110 section
// 14.4).
func totalOf(header http.Header, from int64) (int64, error) {
	text := header.Get("Content-Range")
	span, total, _ := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil || start != from {
		return 0, fmt.Errorf("%w: the server answers a range from %d with Content-Range %q", store.ErrUnavailable, from, text)
	}
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: the server answers a range with Content-Range %q", store.ErrUnavailable, text)
	}
	return size, nil
}

// Seek implements io.Seeker. It asks for nothing.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the beginning")
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.closed:
		return 0, fmt.Errorf("%w: the reader is closed", store.ErrUnavailable)
	case r.at >= r.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if r.stream != nil && (r.stream.at != r.at || r.stream.at == r.stream.end) {
		r.drop()
	}
	if r.stream == nil {
		if err := r.goOn(r.size); err != nil {
			return 0, err
		}
	}
	n, err := r.readStream(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if r.continued {
		return 0, err
	}
	r.continued = true
	end := r.stream.end
	r.drop()
	if err := r.goOn(end); err != nil {
		return 0, err
	}
	n, err = r.readStream(p)
	if n > 0 {
		err = nil
	}
	return n, err
}

// readStream reads what the answer has. Its end before its last byte is an error.
func (r *reader) readStream(p []byte) (int, error) {
	a := r.stream
	a.dog.Expect()
	n, err := a.body.Read(p[:min(int64(len(p)), a.end-a.at)])
	a.dog.Rest()
	a.at += int64(n)
	r.at += int64(n)
	if err == io.EOF && a.at < a.end {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = r.bucket.answered(a.dog, "reading an object", err)
	}
	return n, err
}

// goOn asks for the bytes from where the caller is. An object that is gone by now was
// deleted while it was read.
func (r *reader) goOn(end int64) error {
	stream, err := r.bucket.get(context.Background(), r.key, r.size, r.at, end)
	if errors.Is(err, store.ErrBlobNotFound) || errors.Is(err, store.ErrDamaged) {
		err = fmt.Errorf("%w: going on with an object: %v", store.ErrUnavailable, err)
	}
	if err == nil {
		r.stream = stream
	}
	return err
}

func (r *reader) drop() {
	r.stream.close()
	r.stream = nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.closed = true
	if r.stream != nil {
		r.drop()
	}
	if r.bucket.closed.Load() {
		r.bucket.transport.CloseIdleConnections()
	}
	return nil
}
