package transfer

import "io"

// queued is how many buffers wait to be written, at most. With the one that is being
// filled and the one that is being written an upload has two more.
const queued = 1

// pipe writes pieces in their order, in a goroutine that ends with the first error.
type pipe struct {
	writer io.Writer
	pieces chan piece
	done   chan struct{}

	// Valid once done is closed.
	err   error
	panic any // what the writer panicked with
}

type piece struct {
	bytes   []byte
	release func()
}

func newPipe(writer io.Writer) *pipe {
	p := &pipe{writer: writer, pieces: make(chan piece, queued), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *pipe) run() {
	defer close(p.done)
	defer func() { p.panic = recover() }()
	for next := range p.pieces {
		p.err = p.writeOne(next)
		if p.err != nil {
			return
		}
	}
}

func (p *pipe) writeOne(next piece) error {
	defer next.release()
	return write(p.writer, next.bytes)
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

// failed tells whether nothing is written any more. There may be no pipe.
func (p *pipe) failed() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// close returns when all is written, or with the first error. A panic of the writer
// goes on in the caller, who can deal with it.
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
