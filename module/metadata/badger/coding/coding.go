// Package coding writes records as bytes and reads them again. What is read is what was
// written under the same key, or damage.
package coding

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Every value is a format byte, the record, and a CRC-32C over key and both. The
// key is in it so that a record found under another key is damage too.
const (
	recordFormat = 1
	checksumSize = 4

	usualSize = 128 // more than most records have
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is what a value says: the same walk over its fields writes and reads it.
type Record interface{ Fields(f *Fields) }

// Encode returns the value to store under a key.
func Encode(key []byte, record Record) []byte {
	f := Fields{writing: true, data: append(make([]byte, 0, usualSize), recordFormat)}
	record.Fields(&f)
	return binary.BigEndian.AppendUint32(f.data, checksum(key, f.data))
}

// Decode reads the value found under a key. Anything but what Encode wrote is
// ErrDamaged.
func Decode(key, value []byte, record Record) error {
	if len(value) < 1+checksumSize {
		return Damaged(key, "too short")
	}
	data, sum := value[:len(value)-checksumSize], binary.BigEndian.Uint32(value[len(value)-checksumSize:])
	if checksum(key, data) != sum {
		return Damaged(key, "checksum")
	}
	if data[0] != recordFormat {
		return Damaged(key, fmt.Sprintf("format %d", data[0]))
	}
	f := Fields{data: data[1:]}
	record.Fields(&f)
	if f.short || len(f.data) > 0 {
		return Damaged(key, "length")
	}
	return nil
}

func checksum(key, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, data)
}

// Damaged is the error of what was found under a key.
func Damaged(key []byte, what string) error {
	return fmt.Errorf("%w: record %q: %s", store.ErrDamaged, key, what)
}

// Fields writes the fields of a record to data, or reads them from its front.
type Fields struct {
	writing bool
	short   bool // reading: data ended within a field
	data    []byte
}

// Number keeps a number.
func (f *Fields) Number(n *uint64) {
	if f.writing {
		f.data = binary.AppendUvarint(f.data, *n)
		return
	}
	value, size := binary.Uvarint(f.data)
	if size <= 0 {
		f.fail()
		return
	}
	*n, f.data = value, f.data[size:]
}

// Count keeps a number that is never below zero.
func (f *Fields) Count(n *int64) {
	number := uint64(*n)
	f.Number(&number)
	*n = int64(number)
}

// Flag keeps whether something is so.
func (f *Fields) Flag(is *bool) {
	var number uint64
	if *is {
		number = 1
	}
	f.Number(&number)
	*is = number == 1
}

// Text keeps a text.
func (f *Fields) Text(s *string) {
	length := uint64(len(*s))
	f.Number(&length)
	if f.writing {
		f.data = append(f.data, *s...)
		return
	}
	*s = string(f.take(length))
}

// Digest keeps a digest.
func (f *Fields) Digest(d *store.Digest) {
	if f.writing {
		f.data = append(f.data, d[:]...)
		return
	}
	copy(d[:], f.take(uint64(len(d))))
}

// Time keeps nanoseconds since 1970, enough until 2262.
func (f *Fields) Time(t *time.Time) {
	if f.writing {
		nanoseconds := uint64(t.UnixNano())
		f.Number(&nanoseconds)
		return
	}
	var nanoseconds uint64
	f.Number(&nanoseconds)
	*t = time.Unix(0, int64(nanoseconds)).UTC()
}

// OptionalTime keeps the zero time as it is.
func (f *Fields) OptionalTime(t *time.Time) {
	if f.writing && t.IsZero() {
		*t = time.Unix(0, 0)
	}
	f.Time(t)
	if t.UnixNano() == 0 {
		*t = time.Time{}
	}
}

// Pattern keeps a pattern by its text.
func (f *Fields) Pattern(p *naming.Pattern) {
	text := p.String()
	f.Text(&text)
	if f.writing || f.short {
		return
	}
	parsed, err := naming.ParsePattern(text)
	if err != nil {
		f.fail()
	}
	*p = parsed
}

// List keeps any number of elements. A damaged length cannot take more memory
// than the record has bytes, each element being at least one.
func List[E any](f *Fields, elements *[]E, field func(*E)) {
	length := uint64(len(*elements))
	f.Number(&length)
	if !f.writing {
		if length > uint64(len(f.data)) {
			f.fail()
			return
		}
		*elements = nil
		if length > 0 {
			*elements = make([]E, length)
		}
	}
	for i := range *elements {
		field(&(*elements)[i])
	}
}

func (f *Fields) take(length uint64) []byte {
	if length > uint64(len(f.data)) {
		f.fail()
		return nil
	}
	taken := f.data[:length]
	f.data = f.data[length:]
	return taken
}

func (f *Fields) fail() { f.short, f.data = true, nil }
