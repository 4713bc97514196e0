package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// withoutJournal takes the journal out of the way of commits, to measure what it
// costs: the database is what makes a change durable then, and follows at once.
func withoutJournal(s *Store) {
	s.committer.Lock()
	defer s.committer.Unlock()
	s.appendTo = func(_ *journal.Journal, changes []store.Change) (store.Position, error) {
		position := s.opened.state.position
		position.Sequence += uint64(len(changes))
		return position, nil
	}
}

// BenchmarkPublishFile publishes files of 4 KiB, with the journal, and without it, when
// everybody waits for the database: bytes and record are durable either way.
func BenchmarkPublishFile(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		for _, journalled := range []string{"with", "without"} {
			b.Run(fmt.Sprintf("clients=%d/journal=%s", clients, journalled), func(b *testing.B) {
				metadata, blobs := mustOpen(b, b.TempDir()), mustOpenBlobs(b)
				durable := func() error { return nil }
				if journalled == "without" {
					withoutJournal(metadata)
					durable = func() error { return metadata.awaitPersisted(context.Background()) }
				}
				r := registry.New(metadata, blobs, registry.Options{})
				defer func() {
					if err := r.Close(); err != nil {
						b.Error(err)
					}
				}()
				publishAll(b, r, clients, durable)
			})
		}
	}
}

func mustOpenBlobs(b *testing.B) store.BlobStore {
	b.Helper()
	blobs, err := blobPlace(b)()
	if err != nil {
		b.Fatal(err)
	}
	return blobs
}

func publishAll(b *testing.B, r *registry.Registry, clients int, durable func() error) {
	var next atomic.Int64
	var running sync.WaitGroup
	b.SetBytes(4096)
	b.ResetTimer()
	for range clients {
		running.Go(func() {
			content := make([]byte, 4096)
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				copy(content, fmt.Sprint(i))
				body := registry.Content{Body: bytes.NewReader(content), Size: int64(len(content))}
				_, err := r.Publish(context.Background(), numberedRef("o", int(i)), "u", body, registry.Limits{})
				if err = errors.Join(err, durable()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
}

// BenchmarkPublishEqualContent publishes one content under ever new names.
func BenchmarkPublishEqualContent(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("size=%d/clients=%d", size, clients), func(b *testing.B) {
				r := registry.New(mustOpen(b, b.TempDir()), mustOpenBlobs(b), registry.Options{})
				defer func() {
					if err := r.Close(); err != nil {
						b.Error(err)
					}
				}()
				content := make([]byte, size)
				var next atomic.Int64
				var running sync.WaitGroup
				b.SetBytes(int64(size))
				b.ResetTimer()
				for range clients {
					running.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							body := registry.Content{Body: bytes.NewReader(content), Size: int64(size)}
							if _, err := r.Publish(context.Background(), numberedRef("o", int(i)), "u", body, registry.Limits{}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				running.Wait()
				b.StopTimer()
			})
		}
	}
}
