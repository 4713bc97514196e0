package send

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
)

// content is what is read of a source. It has its size before it is opened, and going to a
// place in it costs nothing until bytes are wanted from there.
type content struct {
	source io.ReadSeekCloser // nil until it is opened
	file   *os.File          // the source, where the kernel can send it
	size   int64
	at     int64 // where the reader is
	placed int64 // where the source is

	// failure is why bytes that were promised could not be read. The parts of several
	// ranges are read by a goroutine that may outlive the answer.
	failure atomic.Pointer[error]
}

var errNotOpened = errors.New("the content is not open")

func (c *content) begin(source io.ReadSeekCloser) {
	c.source = source
	c.file, _ = source.(*os.File)
}

func (c *content) close() {
	if c.source != nil {
		_ = c.source.Close() // it was only read
	}
}

// fail notes the first failure, and returns it.
func (c *content) fail(err error) error {
	c.failure.CompareAndSwap(nil, &err)
	return err
}

// Seek implements io.Seeker.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, os.ErrInvalid
	}
	c.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.source == nil {
		return 0, errNotOpened
	}
	if err := c.place(); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.source.Read(p)
	c.sent(int64(n))
	if err == io.EOF && c.at < c.size {
		err = errFileEnded
	}
	if err != nil && err != io.EOF {
		return n, c.fail(err)
	}
	return n, err
}

// place brings the source to where the reader is.
func (c *content) place() error {
	if c.placed == c.at {
		return nil
	}
	placed, err := c.source.Seek(c.at, io.SeekStart)
	if err == nil {
		c.placed = placed
	}
	return err
}

// sent says that bytes were taken from the source.
func (c *content) sent(n int64) { c.at, c.placed = c.at+n, c.placed+n }

// filePieces are the bytes of a file up to a place, for the kernel as long as a whole
// piece is left, for Read after that.
type filePieces struct {
	file  *os.File
	left  int64
	piece int64

	end  int64
	conn syscall.RawConn
}

// pieces returns the next size bytes. The caller must read them through the returned
// value only.
func (c *content) pieces(size, piece int64) *filePieces {
	return &filePieces{file: c.file, left: size, piece: piece, end: c.at + size}
}

// Read implements io.Reader.
func (p *filePieces) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, io.EOF
	}
	n, err := p.file.Read(b[:min(p.left, int64(len(b)))])
	p.left -= int64(n)
	return n, err
}

// SyscallConn implements syscall.Conn, which is what Go looks for in a source that
// the kernel can send.
func (p *filePieces) SyscallConn() (syscall.RawConn, error) {
	if p.left < p.piece {
		return nil, errTail
	}
	if p.conn == nil {
		conn, err := p.file.SyscallConn()
		if err != nil {
			return nil, err
		}
		p.conn = &filePiecesConn{conn, p}
	}
	return p.conn, nil
}

// filePiecesConn notices how much of the file was sent: where the file is tells it.
type filePiecesConn struct {
	syscall.RawConn
	pieces *filePieces
}

// Read implements syscall.RawConn.
func (c *filePiecesConn) Read(use func(descriptor uintptr) bool) error {
	err := c.RawConn.Read(use)
	at, seekErr := c.pieces.file.Seek(0, io.SeekCurrent)
	c.pieces.left = c.pieces.end - at
	return errors.Join(err, seekErr)
}
