package bucket

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// request makes a request that has an answer and no body, or a small one.
func (b *Bucket) request(ctx context.Context, doing string, call func(ctx context.Context, client *minio.Core) error) error {
	return b.requestFor(ctx, b.timeout(), doing, call)
}

// send makes a request that has bytes in memory as its body. They may take longer than the
// timeout, as long as the server takes some.
func (b *Bucket) send(ctx context.Context, doing string, content []byte, call func(ctx context.Context, client *minio.Core, body io.Reader) error) error {
	if err := b.Usable(ctx); err != nil {
		return err
	}
	dog := watch(ctx, b.timeout())
	defer dog.End(errStopped)
	body := lend(content)
	defer body.takeBack()
	return b.answered(dog, doing, call(dog.Ctx, b.client(), dog.Body(body)))
}

// longTimeouts is how much longer a server may work that moves the bytes of an object itself:
// it says nothing meanwhile.
const longTimeouts = 10

// longRequest is request for what a server needs long for.
func (b *Bucket) longRequest(ctx context.Context, doing string, call func(ctx context.Context, client *minio.Core) error) error {
	return b.requestFor(ctx, longTimeouts*b.timeout(), doing, call)
}

func (b *Bucket) requestFor(ctx context.Context, timeout time.Duration, doing string, call func(ctx context.Context, client *minio.Core) error) error {
	if err := b.Usable(ctx); err != nil {
		return err
	}
	dog := watch(ctx, timeout)
	defer dog.End(errStopped)
	return b.answered(dog, doing, call(dog.Ctx, b.client()))
}

// answered tells what the end of a request means, and what it says of the server.
func (b *Bucket) answered(dog *waiting.Watchdog, doing string, err error) error {
	err = translate(dog.Ctx, doing, err)
	if ended := context.Cause(dog.Ctx); err == nil || ended == nil || errors.Is(ended, errSilent) {
		b.health.note(err)
	}
	return err
}
