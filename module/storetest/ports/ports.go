// Package ports finds ports for the servers of tests.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The ports from first up to end are below those that Linux, macOS and Windows give to
// connections and to listeners that ask for any port. So nothing takes the port of a server
// before the server listens, or while it is restarted.
const (
	first = 10000
	end   = 32768
)

// given has the ports that this process was told. Nobody may listen on one at the moment
// because its server is being restarted.
var given sync.Map

// Free is a port of 127.0.0.1 that nobody listens on. A process is told a port once only.
// It may be called concurrently.
func Free() (int, error) {
	var last error
	for range end - first {
		port := first + rand.IntN(end-first)
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err // somebody else's
			continue
		}
		return port, listener.Close()
	}
	return 0, fmt.Errorf("looking for a free port: %w", last)
}
