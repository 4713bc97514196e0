package push

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// maxListing bounds what is read of a listing.
const maxListing = 256 << 20

// remote is a file of a version, as a listing tells it.
type remote struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // -1 when it is not told
	SHA256 string `json:"sha256"`
	IsDir  bool   `json:"is_dir"`
}

// digest returns what the listing says the file has, and whether it says something.
func (r remote) digest() (store.Digest, bool) {
	digest, err := store.ParseDigest(strings.ToLower(r.SHA256))
	return digest, err == nil
}

// isFileName tells whether a name that a server sent is one of a file in a folder.
func isFileName(name string) bool {
	return store.CheckFile(name, store.FileNamesGitea) == nil && filepath.IsLocal(name) && filepath.Base(name) == name
}

func foldName(name string) string { return store.Fold(name) }

// list asks which files a version has: the JSON API, else its SHA256SUMS, else the folder.
func (c *client) list(ctx context.Context, from target) (files []remote, err error) {
	ways := []func(context.Context, target) ([]remote, error){c.listAPI, c.listSums, c.listFolder}
	var problems []error
	for _, way := range ways {
		err := c.patiently(ctx, "asking for the files", func() (bool, error) {
			files, err = way(ctx, from)
			return false, err
		})
		if err == nil {
			return files, nil
		}
		if status(err) == 0 && !errors.Is(err, errNoListing) || status(err) == http.StatusUnauthorized {
			return nil, err
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("the server does not say which files %s has: %w", from.base, problems[0])
}

// errNoListing: an answer that is no listing.
var errNoListing = fmt.Errorf("%w: the answer is no listing", &answerError{status: http.StatusNotFound})

// get asks for a text and gives it to read.
func (c *client) get(ctx context.Context, place *url.URL, accept string, read func(*http.Response) error) error {
	request, err := c.request(ctx, http.MethodGet, place, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accept)
	response, err := c.do(request)
	if err != nil {
		return err
	}
	defer finish(response)
	if response.StatusCode != http.StatusOK {
		return refusedBy(response)
	}
	return read(response)
}

func (c *client) listAPI(ctx context.Context, from target) (files []remote, err error) {
	place := from.listing()
	if place == nil {
		return nil, errNoListing
	}
	err = c.get(ctx, place, "application/json", func(response *http.Response) error {
		files, err = readListing(response)
		return err
	})
	return files, err
}

func (c *client) listFolder(ctx context.Context, from target) (files []remote, err error) {
	err = c.get(ctx, withPath(from.base, from.base.EscapedPath()+"/"), "application/json", func(response *http.Response) error {
		files, err = readListing(response)
		return err
	})
	return files, err
}

// readListing reads an array of files.
func readListing(response *http.Response) (files []remote, err error) {
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return nil, errNoListing
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxListing)).Decode(&files); err != nil {
		return nil, fmt.Errorf("reading the listing: %w", err)
	}
	kept := files[:0]
	for _, file := range files {
		if !file.IsDir {
			kept = append(kept, file)
		}
	}
	return kept, nil
}

// listSums reads the names and digests of SHA256SUMS, which tells no sizes.
func (c *client) listSums(ctx context.Context, from target) (files []remote, err error) {
	err = c.get(ctx, from.file("SHA256SUMS"), "text/plain", func(response *http.Response) error {
		files = nil
		lines := bufio.NewScanner(io.LimitReader(response.Body, maxListing))
		for lines.Scan() {
			sum, name, found := strings.Cut(lines.Text(), "  ")
			if _, err := store.ParseDigest(sum); err != nil || !found {
				return errNoListing
			}
			files = append(files, remote{Name: name, Size: -1, SHA256: sum})
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("reading the listing: %w", err)
		}
		return nil
	})
	return files, err
}
