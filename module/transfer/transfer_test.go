package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestTransfer(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 500_000)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "in halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
	} {
		for _, size := range []int{0, 1, SmallBuffer, SmallBuffer + 1, LargeBuffer - 1, LargeBuffer, LargeBuffer + 1, SmallBuffer + LargeBuffer, SmallBuffer + HugeBuffer, SmallBuffer + HugeBuffer + 1, len(content)} {
			for _, announced := range []int64{-1, int64(size)} {
				var written bytes.Buffer
				digest, n, err := Copy(UploadBuffers, &written, wrap(bytes.NewReader(content[:size])), announced)
				if err != nil || n != int64(size) || digest != store.Digest(sha256.Sum256(content[:size])) || !bytes.Equal(written.Bytes(), content[:size]) {
					t.Errorf("%s, %d bytes, announced %d: %d bytes, %v", name, size, announced, n, err)
				}
			}
		}
	}
}

func TestTransferOfABodyThatIsCut(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"at once":     iotest.ErrReader(io.ErrUnexpectedEOF),
		"later":       io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)),
		"with bytes":  iotest.DataErrReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF))),
		"is short":    strings.NewReader("abc"),
		"is too long": strings.NewReader("abcdefghij"),
	} {
		_, _, err := Copy(UploadBuffers, io.Discard, body, 5)
		var bodyError *store.BodyError
		if !errors.As(err, &bodyError) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

var errClient = errors.New("client")

// drawnBody gives its content in pieces of the sizes drawn, in turn, and then ends
// as it was told: with an error, a panic, or the content's last bytes.
type drawnBody struct {
	content []byte
	sizes   []int
	reads   int
	end     error
	panics  bool
	joined  bool // the end comes with the last bytes
}

func (b *drawnBody) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), b.sizes[b.reads%len(b.sizes)])], b.content)
	b.content = b.content[n:]
	b.reads++
	switch {
	case len(b.content) > 0 || n > 0 && !b.joined:
		return n, nil
	case b.panics:
		panic(b.end)
	}
	return n, b.end
}

// drawnWriter fails at a byte, by an error or a panic.
type drawnWriter struct {
	bytes.Buffer
	failsAt int
	panics  bool
	over    bool // nothing may be written any more
	late    int  // writes when it was over
}

func (w *drawnWriter) Write(p []byte) (int, error) {
	if w.over {
		w.late++
	}
	if left := w.failsAt - w.Len(); len(p) > left {
		w.over = true
		_, _ = w.Buffer.Write(p[:left])
		if w.panics {
			panic(errWriter)
		}
		return left, errWriter
	}
	return w.Buffer.Write(p)
}

// transferred is Copy with a panic as an error.
func transferred(pool *BufferPool, writer io.Writer, body io.Reader, announced int64) (digest store.Digest, size int64, panicked, err error) {
	defer func() {
		if value := recover(); value != nil {
			panicked = value.(error)
		}
	}()
	digest, size, err = Copy(pool, writer, body, announced)
	return digest, size, nil, err
}

// TestTransferIsAPlainCopy whatever the pieces, the buffers and what goes wrong.
func TestTransferIsAPlainCopy(t *testing.T) {
	before := goleak.IgnoreCurrent()
	whole := make([]byte, 5<<20)
	for i := range whole {
		whole[i] = byte(i ^ i>>8 ^ i>>16)
	}
	rapid.Check(t, func(rt *rapid.T) {
		content := whole[:rapid.OneOf(rapid.IntRange(0, 2*SmallBuffer), rapid.IntRange(1<<20, len(whole))).Draw(rt, "length")]
		body := &drawnBody{
			content: content,
			sizes: append(rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, quickRead - 1, quickRead, SmallBuffer, 300_000}), 0, 20).Draw(rt, "reads"),
				rapid.SampledFrom([]int{1000, SmallBuffer, len(whole)}).Draw(rt, "last read")),
			end:    rapid.SampledFrom([]error{io.EOF, io.EOF, io.EOF, errClient, io.ErrUnexpectedEOF}).Draw(rt, "end"),
			panics: rapid.IntRange(0, 9).Draw(rt, "body panics") == 0,
			joined: rapid.Bool().Draw(rt, "end comes with bytes"),
		}
		writer := &drawnWriter{failsAt: 1 << 30}
		if rapid.Bool().Draw(rt, "write fails") {
			writer.failsAt = len(content) * rapid.IntRange(0, 100).Draw(rt, "at percent") / 100
			writer.failsAt += rapid.IntRange(0, len(content)-writer.failsAt).Draw(rt, "and byte")
			writer.panics = rapid.Bool().Draw(rt, "writer panics")
		}
		announced := rapid.SampledFrom([]int64{-1, int64(len(content)), int64(len(content)) + 1}).Draw(rt, "announced")
		pool := NewBufferPool(LargeBuffer * rapid.Int64Range(0, (queued+3)*HugeBuffer/LargeBuffer).Draw(rt, "large buffers"))

		digest, size, panicked, err := transferred(pool, writer, body, announced)
		writer.over = true

		fails := writer.failsAt < len(content)
		bodyPanicked := body.panics && panicked == body.end
		var bodyError *store.BodyError
		if !bytes.HasPrefix(content, writer.Bytes()) || fails && !bodyPanicked && writer.Len() != writer.failsAt {
			rt.Errorf("%d bytes are written, not the first of the body", writer.Len())
		}
		switch {
		case bodyPanicked: // before the writer failed, if it did
		case fails && writer.panics:
			if panicked != errWriter {
				rt.Errorf("the panic of the writer is %v, the error %v", panicked, err)
			}
		case fails:
			if !errors.Is(err, errWriter) || errors.As(err, &bodyError) {
				rt.Errorf("the writer failed, and the error is %v", err)
			}
		case body.panics:
			rt.Errorf("the panic of the body is %v, the error %v", panicked, err)
		case body.end != io.EOF:
			if !errors.Is(err, body.end) || !errors.As(err, &bodyError) {
				rt.Errorf("the body failed with %v, and the error is %v", body.end, err)
			}
		case announced > int64(len(content)):
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &bodyError) {
				rt.Errorf("the body is short, and the error is %v", err)
			}
		default:
			if err != nil || panicked != nil || size != int64(len(content)) || digest != sha256.Sum256(content) || writer.Len() != len(content) {
				rt.Errorf("%d of %d bytes, %v, %v", size, len(content), err, panicked)
			}
		}
		if used := pool.used.Load(); used != 0 || writer.late != 0 {
			rt.Errorf("%d bytes of buffers are not given back, %d writes came late", used, writer.late)
		}
	})
	goleak.VerifyNone(t, before)
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// writerFunc is a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestALargeBodyIsReadWhileItIsHashedAndWritten: the first hash, or the first write, in a
// goroutine waits until there is nothing left that may be read beside it. Seen to fail, for
// 1 MiB, with huge buffers from the start, and with bodies that are hashed as they are read.
func TestALargeBodyIsReadWhileItIsHashedAndWritten(t *testing.T) {
	for name, size := range map[string]int{"1 MiB": 1 << 20, "16 MiB": 16 << 20} {
		for work, ahead := range map[string]int{"hashed": 2 * LargeBuffer, "written": (2 + queued) * LargeBuffer} {
			t.Run(name+", while it is "+work, func(t *testing.T) { isReadMeanwhile(t, size, SmallBuffer+ahead, work == "hashed") })
		}
	}
}

// slowHash is a hash whose Write is another one.
type slowHash struct {
	hash.Hash
	write writerFunc
}

func (h slowHash) Write(p []byte) (int, error) { return h.write(p) }

func isReadMeanwhile(t *testing.T, size, ahead int, hashed bool) {
	read, worked := 0, 0
	far := make(chan struct{})
	body := readerFunc(func(p []byte) (int, error) {
		if read == size {
			return 0, io.EOF
		}
		n := min(len(p), size-read)
		if read += n; read >= ahead && read-n < ahead {
			close(far)
		}
		return n, nil
	})
	work := writerFunc(func(p []byte) (int, error) {
		if worked >= SmallBuffer {
			select {
			case <-far:
			case <-time.After(patience):
				t.Error("nothing is read meanwhile")
				return 0, errWriter
			}
		}
		worked += len(p)
		return len(p), nil
	})
	writer, sum := io.Writer(work), hash.Hash(sha256.New())
	if hashed {
		writer, sum = io.Discard, slowHash{sum, work}
	}
	if n, err := CopyHashed(UploadBuffers, writer, body, int64(size), sum); err != nil || n != int64(size) || worked != size {
		t.Errorf("%d bytes read, %d worked on, %v; want %d", n, worked, err, size)
	}
}

func TestASmallBodyNeedsNoGoroutine(t *testing.T) {
	before, most := runtime.NumGoroutine(), 0
	writer := writerFunc(func(p []byte) (int, error) {
		most = max(most, runtime.NumGoroutine())
		return len(p), nil
	})
	body := iotest.DataErrReader(bytes.NewReader(make([]byte, SmallBuffer+LargeBuffer)))
	if _, _, err := Copy(NewBufferPool(bufferBudget), writer, body, -1); err != nil {
		t.Fatal(err)
	}
	if most > before {
		t.Errorf("%d goroutines, before there were %d", most, before)
	}
}

// TestASlowBodyHoldsNoLargeBuffer: neither from the start nor once it has become
// slow.
func TestASlowBodyHoldsNoLargeBuffer(t *testing.T) {
	for name, quick := range map[string]int{"always slow": 0, "quick at first": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			const slow = 3 * slowReads
			pool := NewBufferPool(bufferBudget)
			read, reads, held := 0, 0, int64(0)
			body := readerFunc(func(p []byte) (int, error) {
				if read < quick {
					read += len(p)
					return len(p), nil
				}
				if reads++; reads > slow {
					held = pool.used.Load()
					return 0, io.EOF
				}
				return copy(p, make([]byte, quickRead/2)), nil
			})
			if _, _, err := Copy(pool, io.Discard, body, -1); err != nil {
				t.Fatal(err)
			}
			if held != 0 {
				t.Errorf("%d bytes of large buffers are held", held)
			}
		})
	}
}

// TestNoMoreIsReadThanCanBeWritten: once the writer has failed, reading ends.
func TestNoMoreIsReadThanCanBeWritten(t *testing.T) {
	const held = SmallBuffer + (3+queued)*HugeBuffer
	for _, failsAt := range []int{0, SmallBuffer, 5 << 20} {
		body := bytes.NewReader(make([]byte, 64<<20))
		_, read, err := Copy(NewBufferPool(bufferBudget), &drawnWriter{failsAt: failsAt}, body, 64<<20)
		if !errors.Is(err, errWriter) || read > int64(failsAt)+held {
			t.Errorf("failing at %d: %d bytes are read, %v", failsAt, read, err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBuffersKeepTheirBudget(t *testing.T) {
	p := NewBufferPool(3 * LargeBuffer)
	var held []func()
	for i := range 5 {
		buffer, release := p.Get(-1)
		held = append(held, release)
		if want := LargeBuffer; i < 3 && len(buffer) != want {
			t.Errorf("buffer %d has %d bytes", i, len(buffer))
		} else if i >= 3 && len(buffer) != SmallBuffer {
			t.Errorf("over the budget, buffer %d has %d bytes", i, len(buffer))
		}
	}
	for _, release := range held {
		release()
	}
	if buffer, release := p.Get(SmallBuffer); len(buffer) != SmallBuffer || p.used.Load() != 0 {
		t.Errorf("a small body has %d bytes, the budget %d", len(buffer), p.used.Load())
	} else {
		release()
	}
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() {
			for range 200 {
				buffer, release := p.Get(-1)
				buffer[0]++
				release()
			}
		})
	}
	clients.Wait()
	if p.used.Load() != 0 {
		t.Errorf("%d bytes are not given back", p.used.Load())
	}
}

var errWriter = errors.New("disk")
