package filesystem

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("size=4KiB/clients=%d", clients), func(b *testing.B) {
			s, err := Open(b.TempDir(), 1, discard, disk.OS{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var next atomic.Int64
			b.SetBytes(4096)
			b.ResetTimer()
			var running sync.WaitGroup
			for range clients {
				running.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := writeBlob(s, registry.NewLocator(uint64(i)), 4096); err != nil {
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
