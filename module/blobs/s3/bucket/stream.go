package bucket

import (
	"context"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// stream is a request whose body comes piece by piece.
type stream struct {
	dog  *waiting.Watchdog
	pipe *io.PipeWriter
	done chan struct{} // closed when the request has ended
	err  error         // of the request, after done
}

// newStream begins a request.
func (b *Bucket) newStream(send func(ctx context.Context, client *minio.Core, body io.Reader) error) *stream {
	read, write := io.Pipe()
	st := &stream{dog: watch(b.open, b.timeout()), pipe: write, done: make(chan struct{})}
	go func() {
		defer close(st.done)
		err := send(st.dog.Ctx, b.client(), st.dog.Body(read))
		st.err = b.answered(st.dog, "writing an object", err)
		st.dog.End(errStopped)
		// Who still writes hears of it.
		err = st.err
		if err == nil {
			err = fmt.Errorf("%w: the server answered before it had all bytes", store.ErrUnavailable)
		}
		read.CloseWithError(err)
	}()
	return st
}

// write sends bytes, and waits until the request has taken them.
func (s *stream) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if _, err := s.pipe.Write(p); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// end sends the end of the body, and waits for the answer.
func (s *stream) end() error {
	s.pipe.Close()
	<-s.done
	return s.err
}

// drop ends the request without an answer.
func (s *stream) drop() {
	s.dog.End(errStopped)
	s.pipe.CloseWithError(errStopped)
	<-s.done
}
