package filesystem

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// BenchmarkTransfer publishes a body on a disk, with metadata that cost nothing.
func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int64{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("size=%dKiB/to=disk", size>>10), func(b *testing.B) {
			blobs, err := Open(b.TempDir(), 1, discard, disk.OS{})
			if err != nil {
				b.Fatal(err)
			}
			metadata, err := memory.NewMetadata().Open()
			if err != nil {
				b.Fatal(err)
			}
			r := registry.New(metadata, blobs, registry.Options{Idle: true})
			defer r.Close()
			ref := store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: "f"}
			content := make([]byte, size)
			b.SetBytes(size)
			b.ResetTimer()
			for i := range b.N {
				content[0], content[1], content[2] = byte(i), byte(i>>8), byte(i>>16) // else one blob for all
				body := bytes.NewReader(content)
				if _, err := r.Publish(b.Context(), ref, "alice", registry.Content{Body: body, Size: size}, registry.Limits{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := r.DeleteFile(b.Context(), ref, store.Act{User: "alice"}); err != nil {
					b.Fatal(err)
				}
				if _, err := r.Reap(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("size=4KiB/clients=%d", clients), func(b *testing.B) {
			s, err := Open(b.TempDir(), 1, discard, disk.OS{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			content := make([]byte, 4096)
			var next atomic.Int64
			b.SetBytes(4096)
			b.ResetTimer()
			var running sync.WaitGroup
			for range clients {
				running.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := putBlob(s, content); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
		})
	}
}
