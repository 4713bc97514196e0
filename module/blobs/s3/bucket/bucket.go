package bucket

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Settings say where a bucket is, and how the server is spoken with. All but the name can
// change while the bucket is open.
type Settings struct {
	Server Server
	// Public is where clients reach the server. Nil when no links are made.
	Public *Server

	Name, Region string
	// Key and Secret are empty for what the machine has.
	Key, Secret string
	// PathStyle always names the bucket in the path.
	PathStyle bool

	// PartSize is how many bytes a part has that is gathered in memory.
	PartSize int64
	// Timeout is for how long the server may make no progress.
	Timeout time.Duration
}

// Server is where a server is.
type Server struct {
	Host   string
	Secure bool
}

// Bucket is a bucket of an S3 server. Many may use it at once.
type Bucket struct {
	name, mark string
	log        *slog.Logger
	transport  *http.Transport
	memory     *memory
	health     health
	connected  atomic.Pointer[connection]

	closed     atomic.Bool
	open       context.Context // ends when the bucket is closed; readers go on
	stop       context.CancelCauseFunc
	background sync.WaitGroup
}

// connection is what the settings of the moment are.
type connection struct {
	Settings
	client *minio.Core
	public *minio.Core // of the server that clients reach; nil when no links are made
}

// New returns a bucket. It asks the server for nothing. The mark is the key of an object that
// is always there once its user has written it; memory is how many bytes all gatherings
// have together.
func New(settings Settings, mark string, memory int64, log *slog.Logger) (*Bucket, error) {
	b := &Bucket{name: settings.Name, mark: mark, log: log, transport: newTransport(), memory: newMemory(memory)}
	b.open, b.stop = context.WithCancelCause(context.Background())
	return b, b.Adjust(settings)
}

// Adjust gives the bucket other settings.
func (b *Bucket) Adjust(settings Settings) (err error) {
	now := &connection{Settings: settings}
	if now.client, err = settings.newClient(settings.Server, b.transport); err != nil {
		return err
	}
	if settings.Public != nil {
		if now.public, err = settings.newClient(*settings.Public, b.transport); err != nil {
			return err
		}
	}
	b.connected.Store(now)
	return nil
}

func (b *Bucket) client() *minio.Core { return b.connected.Load().client }

// partSize is how many bytes a part has that is gathered now: the memory stays as large as it was
// when the bucket was opened.
func (b *Bucket) partSize() int64 { return min(b.connected.Load().PartSize, b.memory.size) }

func (b *Bucket) timeout() time.Duration { return b.connected.Load().Timeout }

// Usable is nil while the bucket is open and the context has not ended.
func (b *Bucket) Usable(ctx context.Context) error {
	if b.closed.Load() {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	return ctx.Err()
}

// Background runs a function in the background. Its context ends with Close, which waits for
// it.
func (b *Bucket) Background(run func(ctx context.Context)) {
	b.background.Go(func() { run(b.open) })
}

// Close ends what is being written; what is being read goes on. Closing twice is harmless.
func (b *Bucket) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.stop(errStopped)
	b.background.Wait()
	b.transport.CloseIdleConnections()
	return nil
}
