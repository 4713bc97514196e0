package bucket

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	dialTimeout = 5 * time.Second
	// idleTime is less than servers keep connections open: one that is closed as a PUT
	// begins costs the PUT.
	idleTime = 15 * time.Second
	// connections are those that are kept when nothing is asked.
	connections = 256
)

// newTransport returns what a bucket's requests go through.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 2 * dialTimeout,
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     idleTime,
		DisableCompression:  true,
		WriteBufferSize:     16 << 10, // what is read is read past a small buffer, without being copied twice
	}
}

// newClient returns a client of a server. It makes no request.
func (s *Settings) newClient(server Server, transport http.RoundTripper) (*minio.Core, error) {
	lookup := minio.BucketLookupAuto
	if s.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(server.Host, &minio.Options{
		Creds:        s.credentials(transport),
		Secure:       server.Secure,
		Transport:    unclosed{transport},
		Region:       s.Region,
		BucketLookup: lookup,
		MaxRetries:   1, // none: who is told of an error tries again
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the client: %w", err)
	}
	return client, nil
}

// unclosed leaves it to the client alone to close what it sends: after an answer that
// leads elsewhere net/http closes it twice at once, and the client's signer bears that badly.
type unclosed struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (u unclosed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(r.Context()) // a copy
		r.Body = io.NopCloser(r.Body)
	}
	return u.RoundTripper.RoundTrip(r)
}
