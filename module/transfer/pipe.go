package transfer

import (
	"hash"
	"io"
)

// queued is how many buffers wait to be written, at most. With those that are being filled,
// hashed and written an upload has three more.
const queued = 1

// line hashes pieces and then writes them, each in a goroutine of its own.
type line struct{ hashing, writing *pipe }

func newLine(hash hash.Hash, writer io.Writer) *line {
	writing := newPipe(queued, func(p piece) error {
		defer p.release()
		return write(writer, p.bytes)
	})
	hashing := newPipe(0, func(p piece) error {
		hash.Write(p.bytes)
		writing.put(p)
		return nil
	})
	return &line{hashing, writing}
}

// put hands a piece over, as that of a pipe.
func (l *line) put(next piece) { l.hashing.put(next) }

// failed tells whether nothing is written any more. There may be no line.
func (l *line) failed() bool { return l != nil && l.writing.failed() }

// close returns when all is hashed and written, or with the first error of the writer.
func (l *line) close() error {
	_ = l.hashing.close() // a hash has no errors
	return l.writing.close()
}

// pipe works on pieces in their order, in a goroutine that ends with the first error.
type pipe struct {
	work   func(piece) error // gives the piece back
	pieces chan piece
	done   chan struct{}

	// Valid once done is closed.
	err   error
	panic any // what the work panicked with
}

type piece struct {
	bytes   []byte
	release func()
}

func newPipe(queued int, work func(piece) error) *pipe {
	p := &pipe{work: work, pieces: make(chan piece, queued), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *pipe) run() {
	defer close(p.done)
	defer func() { p.panic = recover() }()
	for next := range p.pieces {
		p.err = p.work(next)
		if p.err != nil {
			return
		}
	}
}

// put hands a piece over. It waits while enough others do, unless the pipe has
// failed.
func (p *pipe) put(next piece) {
	select {
	case p.pieces <- next:
	case <-p.done:
		next.release()
	}
}

// failed tells whether nothing is worked on any more.
func (p *pipe) failed() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// close returns when all is done, or with the first error. A panic of the work goes on in
// the caller, who can deal with it.
func (p *pipe) close() error {
	close(p.pieces)
	<-p.done
	for next := range p.pieces {
		next.release()
	}
	if p.panic != nil {
		panic(p.panic)
	}
	return p.err
}
