package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// readBudget bounds what all reading of the process to verify holds in large
// buffers.
const readBudget = 16 << 20

// ReadBuffers are the buffers of scrubs and of verified downloads. Uploads have buffers of
// their own, so that reading and uploading do not wait for each other.
var ReadBuffers = NewBufferPool(readBudget)

// ErrShort: there were fewer bytes than the file had when it was opened.
var ErrShort = errors.New("the bytes end too soon")

// Hash reads size bytes in pieces. After each it calls read, whose error ends
// it.
func Hash(content io.Reader, size int64, read func(bytes int) error) (digest store.Digest, err error) {
	buffer, release := ReadBuffers.Get(size)
	defer release()
	hash := sha256.New()
	for left := size; left > 0; {
		n, err := Fill(content, buffer[:min(left, int64(len(buffer)))])
		hash.Write(buffer[:n])
		left -= int64(n)
		if err == io.EOF && left > 0 {
			return digest, fmt.Errorf("%w: after %d bytes of %d", ErrShort, size-left, size)
		}
		if err != nil && err != io.EOF {
			return digest, fmt.Errorf("reading the bytes: %w", err)
		}
		if err := read(n); err != nil {
			return digest, err
		}
	}
	hash.Sum(digest[:0])
	return digest, nil
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
