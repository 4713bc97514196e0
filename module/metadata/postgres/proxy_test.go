//go:build servers

package postgres

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// cut is what a proxy does with a commit.
type cut int32

const (
	pass        cut = iota // nothing
	cutBefore              // the server does not get it
	cutAfter               // the server makes it, and the answer is lost
	cutMeantime            // the server has it, and nobody waits for the answer
	withhold               // the server does not get it, and the connection stays
)

// proxy passes connections on to the server, and can lose one while changes are committed.
type proxy struct {
	t        testing.TB
	listener net.Listener
	to       int
	next     atomic.Int32 // cut of the next commit
	cuts     chan struct{}

	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{} // closed when it thaws; nil when it is not frozen
}

// freeze has nothing pass until thaw.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen)
	p.frozen = nil
}

// await waits while it is frozen.
func (p *proxy) await() {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func newProxy(t testing.TB, to int) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, to: to, cuts: make(chan struct{}, 100)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// cutNext has the next commit be lost.
func (p *proxy) cutNext(how cut) { p.next.Store(int32(how)) }

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.to))
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	var answers sync.WaitGroup
	var isLost atomic.Bool
	answers.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if isLost.Load() || err != nil {
				client.Close()
				return
			}
			p.await()
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	p.requests(client, server, &isLost)
	server.Close()
	answers.Wait()
	client.Close()
}

// requests passes on what the client sends.
func (p *proxy) requests(client, server net.Conn, isLost *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		p.await()
		if bytes.Contains(buffer[:n], []byte("commit\x00")) && buffer[0] == 'Q' {
			if how := cut(p.next.Swap(int32(pass))); how != pass {
				p.lose(how, buffer[:n], client, server, isLost)
				return
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) lose(how cut, commit []byte, client, server net.Conn, isLost *atomic.Bool) {
	switch how {
	case cutAfter:
		isLost.Store(true) // the other side closes the client when the answer comes
		if _, err := server.Write(commit); err == nil {
			_, _ = io.Copy(io.Discard, client)
		}
	case cutMeantime:
		isLost.Store(true)
		_, _ = server.Write(commit)
	case withhold:
		p.cuts <- struct{}{}
		_, _ = io.Copy(io.Discard, client) // until the client gives the connection up
		return
	}
	client.Close()
	p.cuts <- struct{}{}
}
