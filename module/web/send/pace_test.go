//go:build unix

package send

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
)

// pacedResponse is of a client that takes some time for each piece, and drops the bytes.
type pacedResponse struct {
	http.ResponseWriter
	kernel   int64
	pieces   map[int64]int // how many of each size were sent
	needs    func(at, piece int64) time.Duration
	deadline time.Time
}

func (p *pacedResponse) Write(b []byte) (int, error) { return len(b), nil }

func (p *pacedResponse) SetWriteDeadline(deadline time.Time) error {
	p.deadline = deadline
	return nil
}

func (p *pacedResponse) ReadFrom(source io.Reader) (int64, error) {
	limited := source.(*io.LimitedReader)
	conn, err := limited.R.(*filePieces).SyscallConn()
	if err != nil {
		return io.Copy(struct{ io.Writer }{p}, source)
	}
	piece := limited.N
	took, left := p.needs(p.kernel, piece), time.Until(p.deadline)
	time.Sleep(min(took, left)) // of the bubble's clock: what the client takes
	if took > left {
		return 0, os.ErrDeadlineExceeded
	}
	err = conn.Read(func(uintptr) bool {
		_, err = limited.R.(*filePieces).file.Seek(piece, io.SeekCurrent) // as if it were sent
		return true
	})
	p.pieces[piece]++
	p.kernel += piece
	limited.N = 0
	return piece, err
}

// pacedSize is not a number of whole pieces.
const (
	pacedTail = 150_000
	pacedSize = 40<<20 + pacedTail
)

// TestPiecesGoByThePaceOfTheClient: large ones are for who reads fast, and not before
// more was read than the kernel keeps for who does not. A site's own size and rate stay.
func TestPiecesGoByThePaceOfTheClient(t *testing.T) {
	rate := func(bytesPerSecond int64) func(int64, int64) time.Duration {
		return func(_, piece int64) time.Duration {
			return time.Duration(piece) * time.Second / time.Duration(bytesPerSecond)
		}
	}
	slow := rate(10 << 10)
	until := func(end int64, before, after func(int64, int64) time.Duration) func(int64, int64) time.Duration {
		return func(at, piece int64) time.Duration {
			if at < end {
				return before(at, piece)
			}
			return after(at, piece)
		}
	}
	atOnce := func(int64, int64) time.Duration { return 0 }
	never := func(int64, int64) time.Duration { return time.Hour }
	const small, large, mib = int64(caddyhttp.DefaultMaxWriteChunk), int64(largePiece), 1 << 20
	// The tail is two small pieces and copied, or a large one of its own.
	allSmall := map[int64]int{small: pacedSize / int(small)}
	mostlyLarge := map[int64]int{small: 8 * mib / int(small), large: 32 * mib / int(large), pacedTail: 1}

	for _, test := range []struct {
		name    string
		chunk   int
		timeout time.Duration
		rate    int64 // that the site demands
		needs   func(at, piece int64) time.Duration
		want    map[int64]int
	}{
		{"a fast client", 0, time.Minute, 0, rate(100 << 20), mostlyLarge},
		{"a fast client of a server that was provisioned", caddyhttp.DefaultMaxWriteChunk, time.Minute, 0, rate(100 << 20), mostlyLarge},
		{"just fast enough", 0, time.Minute, 0, rate(largePiece*patience/60 + 1000), mostlyLarge},
		{"not fast enough", 0, time.Minute, 0, rate(largePiece*patience/60 - 1000), allSmall},
		{"not fast enough for a short timeout", 0, time.Second, 0, rate(20 << 20), allSmall},
		{"a slow client", 0, time.Minute, 0, slow, allSmall},
		{"a slow client with 4 MiB of the kernel's", 0, time.Minute, 0, until(4*mib, atOnce, slow), allSmall},
		{"one that becomes slow", 0, time.Minute, 0, until(20*mib, atOnce, slow),
			map[int64]int{small: 24*mib/int(small) + pacedTail/int(small), large: 16 * mib / int(large)}},
		{"one that becomes fast", 0, time.Minute, 0, until(9*mib, slow, atOnce),
			map[int64]int{small: 24 * mib / int(small), large: 16 * mib / int(large), pacedTail: 1}},
		{"one that stalls in a large piece", 0, time.Minute, 0, until(20*mib, atOnce, never),
			map[int64]int{small: 8 * mib / int(small), large: 12 * mib / int(large)}},
		{"a site with a least rate", 0, time.Minute, 1000, rate(100 << 20), allSmall},
		{"a site with small pieces", 16 << 10, time.Minute, 0, rate(100 << 20), map[int64]int{16 << 10: pacedSize / (16 << 10)}},
		{"a site with larger pieces", 10 << 20, time.Minute, 0, rate(100 << 20), map[int64]int{10 << 20: 4, pacedTail: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				response := &pacedResponse{ResponseWriter: httptest.NewRecorder(), pieces: make(map[int64]int), needs: test.needs}
				idle := &caddyhttp.IdleTimeoutWriter{
					ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: response},
					Ctrl:                  http.NewResponseController(response),
					Deadline:              caddyhttp.IdleDeadline{Start: time.Now(), Timeout: test.timeout, MinRate: test.rate},
					MaxChunk:              test.chunk,
					Logger:                zap.NewNop(),
				}
				serveThrough(t, idle, headSize+pacedSize)
				if !maps.Equal(response.pieces, test.want) || idle.MaxChunk != test.chunk {
					t.Errorf("pieces are %v, want %v; Caddy's are left at %d", response.pieces, test.want, idle.MaxChunk)
				}
			})
		})
	}
}

// serveThrough sends a file of zeros.
func serveThrough(t *testing.T, idle *caddyhttp.IdleTimeoutWriter, size int64) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "blob"))
	if err == nil {
		err = file.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle))
	_ = serveFile(idle, r, file, size) // the client may be gone
}
