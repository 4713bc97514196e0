package transfer

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// quickRead is how many bytes a read of a body gives on average, at least, when the
// body comes faster than it is read. Only such a body gains by large buffers.
const quickRead = 4 << 10

// longBody is after how many bytes huge buffers are used, which cost less for each byte.
const longBody = 4 << 20

// slowReads is after how many reads in vain a body gives its large buffer back.
const slowReads = 8

// Copy copies a body, of which so many bytes are announced (-1 when that is not known), and
// returns its digest and size. Of a body that comes fast two goroutines hash and write what
// this one reads; of any other there is one small buffer in memory. Nothing is written once
// it has returned.
//
// An error of the writer comes before one of the body: it happened to earlier bytes,
// or to the same.
func Copy(pool *BufferPool, writer io.Writer, body io.Reader, announced int64) (digest store.Digest, size int64, err error) {
	hash := sha256.New()
	if size, err = CopyHashed(pool, writer, body, announced, hash); err == nil {
		hash.Sum(digest[:0])
	}
	return digest, size, err
}

// CopyHashed is Copy with a hash that may have seen earlier bytes. After an error of the
// body, the bytes that came before it are hashed and written.
func CopyHashed(pool *BufferPool, writer io.Writer, body io.Reader, announced int64, hash hash.Hash) (size int64, err error) {
	t := intake{pool: pool, body: body, announced: announced, writer: writer, hash: hash}
	for t.end == nil && err == nil {
		if err = t.copySlow(); err == nil && t.end == nil {
			err = t.copyFast()
		}
	}
	if err != nil {
		return t.size, fmt.Errorf("writing blob: %w", err)
	}
	if t.end == io.EOF && announced >= 0 && t.size != announced {
		t.end = io.ErrUnexpectedEOF
	}
	if t.end != io.EOF {
		return t.size, &store.BodyError{Err: t.end}
	}
	return t.size, nil
}

// intake is a body on its way.
type intake struct {
	pool   *BufferPool
	body   io.Reader
	writer io.Writer
	hash   hash.Hash

	announced int64 // size, -1 when unknown
	size      int64 // read
	end       error // of the body; nil while there is more
}

// copySlow copies until the body ends or comes fast. The error is the writer's.
func (t *intake) copySlow() error {
	buffer, release := t.pool.takeSmall()
	defer release()
	for quick := false; t.end == nil && !quick; {
		var n int
		n, quick = t.fill(buffer, nil)
		t.hash.Write(buffer[:n])
		if err := write(t.writer, buffer[:n]); err != nil {
			return err
		}
	}
	return nil
}

// copyFast copies until the body ends or no longer comes fast, or the pool has no
// large buffer. The goroutines start once there are two buffers to deal with. The
// error is the writer's.
func (t *intake) copyFast() (err error) {
	var behind *line
	nothing := func() {}
	giveBack := nothing // what is being filled
	defer func() {
		giveBack()
		if behind != nil {
			err = behind.close()
		}
	}()
	stop := func(n, reads int) bool { return behind.failed() || n < (reads-slowReads)*quickRead }
	for quick := true; t.end == nil && quick && !behind.failed(); {
		buffer, release, ok := t.take()
		if !ok {
			return nil
		}
		giveBack = release
		var n int
		n, quick = t.fill(buffer, stop)
		if behind == nil && (t.end != nil || !quick) {
			t.hash.Write(buffer[:n])
			return write(t.writer, buffer[:n])
		}
		if behind == nil {
			behind = newLine(t.hash, t.writer)
		}
		giveBack = nothing
		behind.put(piece{buffer[:n], release})
	}
	return nil
}

// take returns a buffer for what may come. Until a body is long it has smaller ones: what
// fits one buffer is written only after all of it was hashed.
func (t *intake) take() (buffer []byte, release func(), ok bool) {
	if t.size < longBody || t.announced >= 0 && t.announced-t.size <= LargeBuffer {
		return t.pool.takeLarge()
	}
	return t.pool.takeHuge()
}

// fill reads until the buffer is full, the body ends, or stop, which may be nil, says so on
// hearing how many bytes came in how many reads. It tells whether the body came fast.
func (t *intake) fill(buffer []byte, stop func(n, reads int) bool) (n int, quick bool) {
	reads := 0
	for n < len(buffer) && t.end == nil && (stop == nil || !stop(n, reads)) {
		var read int
		read, t.end = t.body.Read(buffer[n:])
		n += read
		reads++
	}
	t.size += int64(n)
	return n, n >= reads*quickRead
}

func write(writer io.Writer, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := writer.Write(p)
	return err
}
