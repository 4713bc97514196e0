package module

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// benchHandler returns a handler over the stores of production that has one file,
// and the file's path.
func benchHandler(b *testing.B, size int) (*Handler, string) {
	b.Helper()
	root := b.TempDir()
	config := &pool.Config{
		Root:      root,
		Metadata:  &badger.Backend{Dir: filepath.Join(root, "metadata"), Reserve: 64 << 20},
		Blobs:     &filesystem.Backend{Dir: filepath.Join(root, "blobs"), Reserve: 1},
		ScrubRate: scrubOff, Log: zap.NewNop(), StoreLog: quietLog,
	}
	lease, err := pool.Registries.Take(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(lease.Return)
	if err := lease.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	content := registry.Content{Body: bytes.NewReader(make([]byte, size)), Size: int64(size)}
	err = pool.Registries.Use(b.Context(), config.Key(), func(reg *registry.Registry) error {
		ref := store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: "f"}
		_, err := reg.Publish(b.Context(), ref, "alice", content, registry.Limits{})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	h := &Handler{store: config.Key(), log: zap.NewNop(), site: visit.Site{Log: zap.NewNop(), Audit: zap.NewNop()}}
	if err := h.provisionSettings(); err != nil {
		b.Fatal(err)
	}
	return h, "/api/packages/alice/generic/p/1/f"
}

// withReplacer is a request as Caddy's server hands it on.
func withReplacer(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	return r.WithContext(context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{}))
}

// droppedResponse keeps nothing but the status.
type droppedResponse struct {
	header http.Header
	status int
}

func (d *droppedResponse) Header() http.Header         { return d.header }
func (d *droppedResponse) WriteHeader(status int)      { d.status = status }
func (d *droppedResponse) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkDownload is a GET of 4 KiB: the handler by itself, and over TCP.
func BenchmarkDownload(b *testing.B) {
	const size = 4096
	h, path := benchHandler(b, size)
	b.Run("handler", func(b *testing.B) {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		w := &droppedResponse{header: make(http.Header)}
		b.ReportAllocs()
		for b.Loop() {
			clear(w.header)
			if err := h.ServeHTTP(w, withReplacer(request), nil); err != nil || w.status != http.StatusOK {
				b.Fatal(w.status, err)
			}
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = h.ServeHTTP(w, withReplacer(r), nil)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for _, clients := range []int{1, 8} {
		b.Run("tcp/clients="+strconv.Itoa(clients), func(b *testing.B) {
			b.SetParallelism(clients) // of each core
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				answer := bufio.NewReader(conn)
				for pb.Next() {
					if err := askRaw(conn, answer, path, size); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func askRaw(conn net.Conn, answer *bufio.Reader, path string, size int64) error {
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	if n != size && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}
