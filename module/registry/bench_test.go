package registry

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// BenchmarkTransfer is what a body costs besides the disk.
func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("size=%dKiB/to=nowhere", size>>10), func(b *testing.B) {
			content := make([]byte, size)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				body := bytes.NewReader(content)
				if _, _, err := transfer.Copy(transfer.UploadBuffers, io.Discard, body, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
