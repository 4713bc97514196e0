package registry

import (
	"fmt"
	"io"
	"testing"
)

// BenchmarkTransfer is what a body costs besides the disk.
func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("size=%dKiB/to=nowhere", size>>10), func(b *testing.B) {
			content := make([]byte, 1<<20)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				body := io.LimitReader(&endless{content: content}, size)
				if _, _, err := transfer(uploadBuffers, io.Discard, Content{Body: body, Size: size}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// endless reads its content again and again.
type endless struct {
	content []byte
	at      int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.content[e.at:])
	e.at = (e.at + n) % len(e.content)
	return n, nil
}
