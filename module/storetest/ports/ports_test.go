package ports_test

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/ports"
)

// TestAPortIsKept from connections, from listeners that ask for any port, and from whoever
// else asks for a free one. It listens on no port that it was told: the servers of other
// tests, which run at the same time, may be told the same.
// Seen to fail with ports that the system chooses, and with ports that are told twice.
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
	var system []int
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
		system = append(system, listener.Addr().(*net.TCPAddr).Port, connection.LocalAddr().(*net.TCPAddr).Port)
	}
	lowest, highest := slices.Min(system), slices.Max(system)
	for port := range told {
		if port >= lowest && port <= highest {
			t.Errorf("got port %d, want none between %d and %d, which the system gives", port, lowest, highest)
		}
	}
}
