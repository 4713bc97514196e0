package push

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// errDiffers: the version has a file of that name with other bytes. errUntold: nothing tells
// which bytes it has. errNoDrafts, errPublished: a file that was to go into a draft is
// published. errInDraft: one that was to be published is in a draft.
var (
	errDiffers   = client.Final("the version has a file of that name, with other bytes; published files do not change")
	errUntold    = client.Final("the version has a file of that name, and the server tells neither its digest nor its size")
	errNoDrafts  = client.Final("the server has no drafts, and has published this file at once; no other was sent")
	errPublished = client.Final("this file is published, and not in a draft: the server has no drafts, or somebody has published the draft meanwhile")
	errInDraft   = client.Final("the version is a draft, which only writers of the package see: --publish publishes it")
)

// isDraft tells whether an answer says that a file is a draft's. Servers without drafts never
// say so.
func isDraft(response *http.Response) bool { return response.Header.Get("X-Publish") == "draft" }

// placed holds that a file that the server has is where it was to go: errPublished, errInDraft.
func (s *sender) placed(existing *http.Response) error {
	switch is := isDraft(existing); {
	case s.draft && !is:
		return errPublished
	case !s.draft && is:
		return errInDraft
	}
	return nil
}

// head asks what the server has of a file, until it answers. Nil when there is no such file.
func (s *sender) head(ctx context.Context, place *url.URL) (response *http.Response, err error) {
	err = s.Patiently(ctx, "asking for "+place.Path, func() (bool, error) {
		response, err = s.ask(ctx, place)
		return false, err
	})
	return response, err
}

// ask asks what the server has of a file. Nil when there is no such file: one of another
// version, for which the name of this one stands, such as latest, is none.
func (s *sender) ask(ctx context.Context, place *url.URL) (*http.Response, error) {
	request, err := s.Request(ctx, http.MethodHead, place, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.Answer(request)
	switch {
	case client.Status(err) == http.StatusNotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if location := response.Header.Get("Content-Location"); location != "" {
		if exact, err := place.Parse(location); err == nil && exact.EscapedPath() != place.EscapedPath() {
			return nil, nil
		}
	}
	return response, nil
}

// same holds that a file of which a HEAD tells has the bytes that are to be published:
// errDiffers, errUntold. Gitea's HEAD tells no digest, and its listing does. A file of which
// nothing tells the digest is read.
func (p *plain) same(ctx context.Context, existing *http.Response) (err error) {
	got, told := client.DigestOf(existing.Header)
	if !told {
		if existing.ContentLength >= 0 && existing.ContentLength != p.file.size {
			return errDiffers
		}
		if got, told, err = p.listed(ctx, p.file.name); err != nil {
			return err
		}
	}
	if !told {
		if existing.ContentLength < 0 {
			return errUntold
		}
		if got, err = p.read(ctx); err != nil {
			return err
		}
	}
	if got != p.digest {
		return errDiffers
	}
	return nil
}

// read reads what the server has of the file.
func (p *plain) read(ctx context.Context) (digest store.Digest, err error) {
	request, err := p.Request(ctx, http.MethodGet, p.place, nil)
	if err != nil {
		return digest, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := p.Do(request)
	if err != nil {
		return digest, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return digest, client.RefusedBy(response)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(response.Body, p.file.size+1)); err != nil {
		return digest, err
	}
	hash.Sum(digest[:0])
	return digest, nil
}

// listing is what the JSON API last said of the version's files.
type listing struct {
	sync.Mutex
	digests map[string]store.Digest // by names as the registry compares them
}

// listed returns the digest that the JSON API tells of a file, and whether it tells one. It is
// asked again for a file that it did not tell of yet.
func (s *sender) listed(ctx context.Context, name string) (digest store.Digest, told bool, err error) {
	s.listing.Lock()
	defer s.listing.Unlock()
	if digest, told = s.listing.digests[store.Fold(name)]; told {
		return digest, true, nil
	}
	digests, err := s.list(ctx)
	if err != nil && client.Passes(err) {
		return digest, false, err
	}
	s.listing.digests = digests
	digest, told = digests[store.Fold(name)]
	return digest, told, nil
}

// list asks the JSON API for the digests of the version's files. Nil when it has none.
func (s *sender) list(ctx context.Context) (digests map[string]store.Digest, err error) {
	place := s.version.Listing()
	if place == nil {
		return nil, nil
	}
	var text []byte
	err = s.ReadText(ctx, place, "application/json", func(response *http.Response) error {
		var size *http.MaxBytesError
		if text, err = io.ReadAll(response.Body); err != nil && !errors.As(err, &size) {
			return fmt.Errorf("reading the listing: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var files []struct{ Name, SHA256 string }
	if json.Unmarshal(text, &files) != nil {
		return nil, nil // what answers here is no listing
	}
	digests = make(map[string]store.Digest, len(files))
	for _, file := range files {
		if digest, err := store.ParseDigest(strings.ToLower(file.SHA256)); err == nil {
			digests[store.Fold(file.Name)] = digest
		}
	}
	return digests, nil
}
