//go:build unix

package module

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// pacedResponse is of a client that takes some time for each piece, and drops the bytes.
type pacedResponse struct {
	http.ResponseWriter
	kernel int64
	pieces map[int64]int // how many of each size were sent
	needs  func(at, piece int64) time.Duration
}

func (p *pacedResponse) Write(b []byte) (int, error) { return len(b), nil }

func (p *pacedResponse) ReadFrom(source io.Reader) (int64, error) {
	limited := source.(*io.LimitedReader)
	conn, err := limited.R.(*filePieces).SyscallConn()
	if err != nil {
		return io.Copy(struct{ io.Writer }{p}, source)
	}
	piece := limited.N
	err = conn.Read(func(descriptor uintptr) bool {
		limited.R.(*filePieces).file.Seek(piece, io.SeekCurrent) // as if it were sent
		return true
	})
	p.pieces[piece]++
	time.Sleep(p.needs(p.kernel, piece))
	p.kernel += piece
	limited.N = 0
	return piece, err
}

// TestPiecesGoByThePaceOfTheClient: large ones are for who reads fast, and not before
// more was read than the kernel keeps for who does not. A site's own size stays.
func TestPiecesGoByThePaceOfTheClient(t *testing.T) {
	const size = 40 << 20
	rate := func(bytesPerSecond int64) func(int64, int64) time.Duration {
		return func(_, piece int64) time.Duration {
			return time.Duration(piece) * time.Second / time.Duration(bytesPerSecond)
		}
	}
	small, large := int64(caddyhttp.DefaultMaxWriteChunk), int64(largePiece)
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, headSize+size); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		chunk   int
		timeout time.Duration
		needs   func(at, piece int64) time.Duration
		want    map[int64]int
	}{
		{"a fast client", 0, time.Minute, rate(100 << 20), map[int64]int{small: paceBytes / int(small), large: (size - paceBytes) / int(large)}},
		{"a fast client of a server that was provisioned", caddyhttp.DefaultMaxWriteChunk, time.Minute, rate(100 << 20), map[int64]int{small: paceBytes / int(small), large: (size - paceBytes) / int(large)}},
		{"just fast enough", 0, time.Minute, rate(largePiece*patience/60 + 1000), map[int64]int{small: paceBytes / int(small), large: (size - paceBytes) / int(large)}},
		{"not fast enough", 0, time.Minute, rate(largePiece*patience/60 - 1000), map[int64]int{small: size / int(small)}},
		{"not fast enough for a short timeout", 0, time.Second, rate(20 << 20), map[int64]int{small: size / int(small)}},
		{"a slow client", 0, time.Minute, rate(10 << 10), map[int64]int{small: size / int(small)}},
		{"a slow client with 4 MiB of the kernel's", 0, time.Minute, func(at, piece int64) time.Duration {
			if at < 4<<20 {
				return 0
			}
			return rate(10<<10)(at, piece)
		}, map[int64]int{small: size / int(small)}},
		{"one that becomes slow", 0, time.Minute, func(at, piece int64) time.Duration {
			if at < 20<<20 {
				return 0
			}
			return rate(10<<10)(at, piece)
		}, map[int64]int{small: (paceBytes + 16<<20) / int(small), large: 16 << 20 / int(large)}},
		{"one that becomes fast again", 0, time.Minute, func(at, piece int64) time.Duration {
			if at > 9<<20 {
				return 0
			}
			return rate(10<<10)(at, piece)
		}, map[int64]int{small: 3 * paceBytes / int(small), large: 2 * paceBytes / int(large)}},
		{"a site with small pieces", 16 << 10, time.Minute, rate(100 << 20), map[int64]int{16 << 10: size / (16 << 10)}},
		{"a site with larger pieces", 10 << 20, time.Minute, rate(100 << 20), map[int64]int{10 << 20: 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				response := &pacedResponse{ResponseWriter: httptest.NewRecorder(), pieces: make(map[int64]int), needs: test.needs}
				idle := &caddyhttp.IdleTimeoutWriter{
					ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: response},
					Ctrl:                  http.NewResponseController(response),
					Deadline:              caddyhttp.IdleDeadline{Start: time.Now(), Timeout: test.timeout},
					MaxChunk:              test.chunk,
					Logger:                zap.NewNop(),
				}
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r = r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle))
				(&Handler{log: zap.NewNop()}).serveContent(idle, r, registry.File{Blob: registry.Blob{Size: headSize + size}}, file, route{})
				if !maps.Equal(response.pieces, test.want) || idle.MaxChunk != test.chunk {
					t.Errorf("pieces are %v, want %v; Caddy's are left at %d", response.pieces, test.want, idle.MaxChunk)
				}
			})
		})
	}
}
