package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
)

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	gibibyte = 1 << 30

	// stampSize is how many bytes at the start of each piece tell it from all others.
	stampSize = 16
)

// content is the bytes of one file. Its pieces, of one MiB, are random bytes that
// all contents share behind a stamp of seed and position. So no two contents are the
// same, and neither making nor comparing one takes a client time that would hide the
// server's.
type content struct {
	seed uint64
	size int64
}

var pattern = func() []byte {
	p := make([]byte, mebibyte)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p) // never fails
	return p
}()

// pieces are copies of the pattern, to put stamps into.
var pieces = sync.Pool{New: func() any { p := bytes.Clone(pattern); return &p }}

func (c content) stamp(index int64) (s [stampSize]byte) {
	binary.LittleEndian.PutUint64(s[:], c.seed)
	binary.LittleEndian.PutUint64(s[8:], uint64(index))
	return s
}

// appendTo appends all bytes to p; for contents of one piece.
func (c content) appendTo(p []byte) []byte {
	n := len(p)
	p = append(p, pattern[:c.size]...)
	stamp := c.stamp(0)
	copy(p[n:], stamp[:])
	return p
}

// send writes the whole content.
func (c content) send(w io.Writer) error {
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	for sent := int64(0); sent < c.size; sent += mebibyte {
		stamp := c.stamp(sent / mebibyte)
		copy(*piece, stamp[:])
		if _, err := w.Write((*piece)[:min(mebibyte, c.size-sent)]); err != nil {
			return err
		}
	}
	return nil
}

// verify reads a stream to its end, which must be length bytes of the content from
// offset on.
func (c content) verify(r io.Reader, offset, length int64) error {
	got := make([]byte, 64*kibibyte)
	for end := offset + length; offset < end; {
		n := min(int64(len(got)), end-offset, mebibyte-offset%mebibyte)
		if _, err := io.ReadFull(r, got[:n]); err != nil {
			return fmt.Errorf("reading bytes %d to %d: %w", offset, offset+n, err)
		}
		if !c.has(got[:n], offset) {
			return fmt.Errorf("wrong bytes between %d and %d", offset, offset+n)
		}
		offset += n
	}
	if n, err := r.Read(got[:1]); n != 0 || err != io.EOF {
		return fmt.Errorf("more than the %d bytes wanted (%v)", length, err)
	}
	return nil
}

// has tells whether p is what is at an offset. It does not reach into the next piece.
func (c content) has(p []byte, offset int64) bool {
	within := offset % mebibyte
	if within < stampSize {
		stamp := c.stamp(offset / mebibyte)
		n := min(stampSize-within, int64(len(p)))
		if !bytes.Equal(p[:n], stamp[within:within+n]) {
			return false
		}
		p, within = p[n:], within+n
	}
	return bytes.Equal(p, pattern[within:within+int64(len(p))])
}

// sizeName is a size in prose, such as 4 KiB.
func sizeName(size int64) string {
	switch {
	case size >= gibibyte && size%gibibyte == 0:
		return fmt.Sprintf("%d GiB", size/gibibyte)
	case size >= mebibyte && size%mebibyte == 0:
		return fmt.Sprintf("%d MiB", size/mebibyte)
	case size >= kibibyte && size%kibibyte == 0:
		return fmt.Sprintf("%d KiB", size/kibibyte)
	}
	return fmt.Sprintf("%d B", size)
}
