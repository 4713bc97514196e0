package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// readBudget bounds what all reading of the process to verify holds in large
// buffers.
const readBudget = 16 << 20

// ReadBuffers are the buffers of scrubs, of verified downloads and of whoever hashes. Uploads
// have buffers of their own, so that reading and uploading do not wait for each other.
var ReadBuffers = NewBufferPool(readBudget)

// ErrShort: there were fewer bytes than the file had when it was opened.
var ErrShort = errors.New("the bytes end too soon")

// Reader hashes a content of a size while it is read. With its last bytes comes io.EOF; a
// content that ends before is ErrShort.
type Reader struct {
	content    io.Reader
	size, left int64
	hash       hash.Hash
}

// NewReader returns a reader of size bytes.
func NewReader(content io.Reader, size int64) *Reader {
	return &Reader{content: content, size: size, left: size, hash: sha256.New()}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (n int, err error) {
	if r.left > 0 {
		n, err = r.content.Read(p[:min(int64(len(p)), r.left)])
		r.hash.Write(p[:n])
		r.left -= int64(n)
	}
	switch {
	case r.left == 0:
		return n, io.EOF
	case err == io.EOF:
		return n, fmt.Errorf("%w: after %d bytes of %d", ErrShort, r.size-r.left, r.size)
	}
	return n, err
}

// Left is how many bytes were not read yet.
func (r *Reader) Left() int64 { return r.left }

// Digest is that of what was read.
func (r *Reader) Digest() (digest store.Digest) {
	r.hash.Sum(digest[:0])
	return digest
}

// Hash reads size bytes in pieces. After each it calls read, whose error ends it.
func Hash(content io.Reader, size int64, read func(piece []byte) error) (digest store.Digest, err error) {
	buffer, release := ReadBuffers.Get(size)
	defer release()
	reader := NewReader(content, size)
	for err != io.EOF {
		var n int
		if n, err = Fill(reader, buffer); err != nil && err != io.EOF {
			return digest, fmt.Errorf("reading the bytes: %w", err)
		}
		if err := read(buffer[:n]); err != nil {
			return digest, err
		}
	}
	return reader.Digest(), nil
}

// Fill reads until the buffer is full or the reader fails; io.EOF is its end.
// io.ReadFull would turn a short end into io.ErrUnexpectedEOF, which is what a
// request body says when it was cut.
func Fill(reader io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = reader.Read(buffer[n:])
		n += read
	}
	return n, err
}
