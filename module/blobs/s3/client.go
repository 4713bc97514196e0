package s3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	dialTimeout = 5 * time.Second
	// idleTime is less than servers keep connections open: one that is closed as a PUT
	// begins costs the PUT.
	idleTime = 15 * time.Second
	// connections are those that are kept when nothing is asked.
	connections = 256
)

// newTransport returns what the store's requests go through.
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

// newClient returns a client of an endpoint, with the credentials of a backend. It makes no
// request.
func (b *Backend) newClient(at *endpoint, transport http.RoundTripper) (*minio.Core, error) {
	lookup := minio.BucketLookupAuto
	if b.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(at.host, &minio.Options{
		Creds:        b.credentials(transport),
		Secure:       at.secure,
		Transport:    unclosed{transport},
		Region:       b.Region,
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

// credentials are those of the configuration, or else what the machine has.
func (b *Backend) credentials(transport http.RoundTripper) *credentials.Credentials {
	if b.key != "" {
		return credentials.NewStaticV4(b.key, b.secret, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Transport: transport, Timeout: dialTimeout}},
	})
}

// request makes a request that has an answer and no body, or a small one.
func (s *Store) request(ctx context.Context, doing string, make func(ctx context.Context, client *minio.Core) error) error {
	return s.requestFor(ctx, s.tuning().timeout, doing, make)
}

// longTimeouts is how much longer a server may work that moves the bytes of an object itself:
// it says nothing meanwhile.
const longTimeouts = 10

// longRequest is request for what a server needs long for.
func (s *Store) longRequest(ctx context.Context, doing string, make func(ctx context.Context, client *minio.Core) error) error {
	return s.requestFor(ctx, longTimeouts*s.tuning().timeout, doing, make)
}

func (s *Store) requestFor(ctx context.Context, timeout time.Duration, doing string, make func(ctx context.Context, client *minio.Core) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	dog := watch(ctx, timeout)
	defer dog.end()
	err := translate(dog.ctx, doing, make(dog.ctx, s.client()))
	s.health.note(err)
	return err
}
