package ports_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// TestAPortIsKept from connections, from listeners that ask for any port, and from whoever
// else asks for a free one. Seen to fail with ports that the system chooses.
func TestAPortIsKept(t *testing.T) {
	var mu sync.Mutex
	told := make(map[int]bool)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				port, err := ports.Free()
				mu.Lock()
				if err != nil || told[port] {
					t.Errorf("got port %d (told before: %t) and %v, want a new one", port, told[port], err)
				}
				told[port] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for range 400 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
	}
	for port := range told {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Errorf("the server of port %d cannot listen: %v", port, err)
			continue
		}
		defer listener.Close()
	}
}
