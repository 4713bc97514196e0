//go:build servers

package bucket

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// TestConnectionsAreUsedAgain: one that is made anew for a request costs as much as a small
// object. Seen to fail with a server that closes each of them.
func TestConnectionsAreUsedAgain(t *testing.T) {
	server := servers.StartS3(t)
	b, err := New(Settings{
		Server: Server{Host: server.Address}, Name: servers.Bucket, Region: "us-east-1", Key: servers.Key, Secret: servers.Secret,
		PartSize: SmallestPart, Timeout: 10 * time.Second,
	}, "MARK", SmallestPart, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	var made int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			made++
		}
	}})
	for what, size := range map[string]int64{"small": 4 << 10, "large": 1 << 20} {
		for range 5 {
			if err := writeAndRead(ctx, b, what, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	if made != 1 {
		t.Errorf("%d connections were made for requests one after the other, want 1", made)
	}
}

func writeAndRead(ctx context.Context, b *Bucket, key string, size int64) error {
	if err := b.Put(ctx, key, make([]byte, size)); err != nil {
		return err
	}
	reader, err := b.Open(ctx, key, size, remote.Whole(size))
	if err != nil {
		return err
	}
	defer reader.Close()
	_, err = io.CopyN(io.Discard, reader, size)
	return err
}
