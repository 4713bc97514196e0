//go:build servers

package integration

import (
	"net"
	"sync"
	"testing"
)

// wire passes connections on to a server. It can be cut, and frozen: then nothing passes, and
// neither side hears of that.
type wire struct {
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu     sync.Mutex
	ends   map[net.Conn]bool
	isCut  bool
	frozen chan struct{} // closed when it thaws; nil when it is not frozen
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, to: to, ends: make(map[net.Conn]bool)}
	w.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		w.thaw()
		w.cut()
		w.all.Wait()
	})
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) port() int { return w.listener.Addr().(*net.TCPAddr).Port }

// cut ends all connections, and those that are made until mend.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for end := range w.ends {
		end.Close()
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = false
}

// freeze has nothing pass until thaw.
func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = make(chan struct{})
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen != nil {
		close(w.frozen)
		w.frozen = nil
	}
}

// await waits while it is frozen.
func (w *wire) await() {
	w.mu.Lock()
	frozen := w.frozen
	w.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (w *wire) serve(client net.Conn) {
	defer client.Close()
	w.await()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !w.join(client, server) {
		return
	}
	defer w.leave(client, server)
	var back sync.WaitGroup
	back.Go(func() { w.pass(server, client) })
	w.pass(client, server)
	back.Wait()
}

// join tells whether a connection may begin.
func (w *wire) join(ends ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		return false
	}
	for _, end := range ends {
		w.ends[end] = true
	}
	return true
}

func (w *wire) leave(ends ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, end := range ends {
		delete(w.ends, end)
	}
}

// pass passes on what one side sends, until it ends.
func (w *wire) pass(from, to net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		w.await()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
