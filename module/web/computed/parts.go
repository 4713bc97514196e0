package computed

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// part is a run of bytes of a computed file: a text, or the bytes of a file of the registry.
type part struct {
	text []byte
	file *store.File // nil for a text
}

func (p part) size() int64 {
	if p.file != nil {
		return p.file.Size
	}
	return int64(len(p.text))
}

// parts are those of a computed file, in order. Each walk begins anew. An error is the last
// thing that a walk yields.
type parts iter.Seq2[part, error]

// measured is what all bytes of a computed file amount to.
type measured struct {
	size int64
	sum  [sha256.Size]byte
}

// tag is a strong entity tag (RFC 9110 section 8.8.3): it depends on every byte, those of
// files by their digests.
func (m measured) tag() string { return `"` + hex.EncodeToString(m.sum[:]) + `"` }

// measure walks over all parts.
func (p parts) measure() (all measured, err error) {
	sum := sha256.New()
	for part, err := range p {
		if err != nil {
			return measured{}, err
		}
		note(sum, part)
		all.size += part.size()
	}
	sum.Sum(all.sum[:0])
	return all, nil
}

// note adds a part to a hash, so that no two lists of parts add the same.
func note(sum hash.Hash, p part) {
	var size [9]byte
	binary.BigEndian.PutUint64(size[1:], uint64(p.size()))
	if p.file != nil {
		size[0] = 1
		sum.Write(size[:])
		sum.Write(p.file.Digest[:])
		return
	}
	sum.Write(size[:])
	sum.Write(p.text)
}

// opener opens the bytes of a file of the registry, at their beginning. Whole tells that they
// are read from there, in order.
type opener func(file store.File, whole bool) (io.ReadSeekCloser, error)

// reader reads a computed file from any place. It belongs to one goroutine. Going back
// begins a walk anew; going forward opens nothing of what it passes. The last part is given
// out only when all of them are those that were measured.
type reader struct {
	parts parts
	want  measured
	open  opener
	at    int64

	next       func() (part, error, bool)
	stop       func()
	sum        hash.Hash
	part       part
	begin, end int64             // of the part, in the computed file
	file       io.ReadSeekCloser // the part's bytes; nil for a text, and before they are wanted
}

func newReader(p parts, want measured, open opener) *reader {
	r := &reader{parts: p, want: want, open: open}
	r.rewind()
	return r
}

func (r *reader) rewind() {
	r.next, r.stop = iter.Pull2(iter.Seq2[part, error](r.parts))
	r.sum = sha256.New()
	r.part, r.begin, r.end = part{}, 0, 0
}

// Seek implements io.Seeker from the beginning and from where the reader is.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.at
	default:
		return 0, fmt.Errorf("seeking in a computed file: whence is %d", whence)
	}
	if offset == r.at {
		return offset, nil
	}
	if err := r.closeFile(); err != nil {
		return 0, err
	}
	if offset < r.begin {
		r.stop()
		r.rewind()
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.at >= r.end {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	if r.part.file == nil {
		n := copy(p, r.part.text[r.at-r.begin:])
		r.at += int64(n)
		return n, nil
	}
	if err := r.place(); err != nil {
		return 0, err
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.end-r.at)])
	r.at += int64(n)
	if err == io.EOF && r.at < r.end {
		err = fmt.Errorf("%w: %s ended after %d bytes of %d", store.ErrDamaged, r.part.file.File, r.at-r.begin, r.part.file.Size)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// advance goes to the next part.
func (r *reader) advance() error {
	if err := r.closeFile(); err != nil {
		return err
	}
	next, err, more := r.next()
	switch {
	case !more && r.at >= r.want.size:
		return io.EOF
	case !more:
		return errChanged
	case err != nil:
		return err
	}
	note(r.sum, next)
	r.part, r.begin, r.end = next, r.end, r.end+next.size()
	if r.end >= r.want.size && !r.isAsMeasured() {
		return errChanged
	}
	return nil
}

// isAsMeasured tells whether what was walked over is all that was measured.
func (r *reader) isAsMeasured() bool {
	return r.end == r.want.size && [sha256.Size]byte(r.sum.Sum(nil)) == r.want.sum
}

// place opens the bytes of the part's file, where the reader is in it.
func (r *reader) place() (err error) {
	if r.file != nil {
		return nil
	}
	whole := r.at == r.begin
	if r.file, err = r.open(*r.part.file, whole); err != nil {
		r.file = nil
		return err
	}
	if whole {
		return nil
	}
	_, err = r.file.Seek(r.at-r.begin, io.SeekStart)
	return err
}

func (r *reader) closeFile() (err error) {
	if r.file != nil {
		err = r.file.Close()
		r.file = nil
	}
	return err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.stop()
	return r.closeFile()
}
