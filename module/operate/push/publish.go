package push

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// publishing is a version on its way: what of it the server has, and what it becomes then.
type publishing struct {
	*sender
	publish bool

	mu      sync.Mutex
	sent    bool                    // at least one file
	digests map[string]store.Digest // of the files that are there
	before  int                     // how many of them were published before, in place of a draft
}

// all sends all files, several at once, and publishes the draft that they are in if that is
// wanted. The first file that a draft does not have goes alone: a server without drafts would
// publish it at once, and no other one should follow.
func (p *publishing) all(ctx context.Context, parallel int, files []local) error {
	for p.draft && !p.sent && len(files) > 0 {
		if err := p.one(ctx, files[0]); err != nil {
			return err
		}
		files = files[1:]
	}
	if err := client.Each(ctx, parallel, files, p.one); err != nil || !p.publish {
		return err
	}
	return p.Patiently(ctx, "publishing the draft", func() (bool, error) { return false, p.End(ctx) })
}

// one sends one file.
func (p *publishing) one(ctx context.Context, file local) error {
	sent, err := p.send(ctx, file)
	if err != nil {
		return fmt.Errorf("%s: %w", file.name, client.Advised(err))
	}
	text := "published "
	switch {
	case sent.published:
		text = "already published: "
	case sent.there:
		text = "already there: "
	case p.draft:
		text = "in the draft: "
	}
	p.meter.Finished(file.name, file.size, text+file.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.digests[file.name] = sent.digest
	p.sent = p.sent || !sent.there
	if sent.published {
		p.before++
	}
	return nil
}

// End has the server publish the draft, if its files are those that were sent, and no others.
// Once it is published, the same again succeeds.
func (p *publishing) End(ctx context.Context) error {
	place := *p.version.Base
	place.RawQuery = "publish"
	request, err := p.Request(ctx, http.MethodPost, &place, bytes.NewReader(p.sums()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := p.Answer(request)
	if err == nil {
		err = expect(response, http.StatusOK)
	}
	if err != nil {
		return fmt.Errorf("the draft is not published: %w", err)
	}
	return nil
}

// sums are the files as sha256sum writes them.
func (p *publishing) sums() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(p.digests)) {
		fmt.Fprintf(&text, "%s  %s\n", p.digests[name], name)
	}
	return text.Bytes()
}
