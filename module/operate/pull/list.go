package pull

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

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
	return naming.CheckFile(name, naming.Gitea) == nil && filepath.IsLocal(name) && filepath.Base(name) == name
}

// lister asks a server which files a version has.
type lister struct {
	*client.Client
	// version is the exact one once the files are listed.
	version client.VersionURL
}

var (
	errNoListing = client.Final("the answer is no listing")
	// errPublished: somebody wrote the list, who may have left files out.
	errPublished = fmt.Errorf("%w of all files: somebody published that SHA256SUMS", errNoListing)
	// errOther: the version stands for another one, such as latest.
	errOther = client.Final("the version stands for another one")
)

// list returns the files of a version, or of the one that it stands for.
func (l *lister) list(ctx context.Context) (files []remote, err error) {
	files, err = l.listVersion(ctx)
	if errors.Is(err, errOther) {
		return l.listVersion(ctx)
	}
	return files, err
}

// listVersion asks the JSON API, else the version's SHA256SUMS, else its folder.
func (l *lister) listVersion(ctx context.Context) (files []remote, err error) {
	var problem error
	for _, way := range []func(context.Context) ([]remote, error){l.listAPI, l.listSums, l.listFolder} {
		err := l.Patiently(ctx, "asking for the files", func() (bool, error) {
			files, err = way(ctx)
			return false, err
		})
		if err == nil {
			return files, nil
		}
		if client.Status(err) == 0 && !errors.Is(err, errNoListing) || client.Status(err) == http.StatusUnauthorized {
			return nil, err
		}
		if problem == nil || errors.Is(err, errPublished) {
			problem = err
		}
	}
	return nil, fmt.Errorf("the server does not say which files %s has: %w", l.version.Base, problem)
}

func (l *lister) listAPI(ctx context.Context) (files []remote, err error) {
	place := l.version.Listing()
	if place == nil {
		return nil, errNoListing
	}
	err = l.ReadText(ctx, place, "application/json", func(response *http.Response) error {
		files, err = readListing(response)
		return err
	})
	return files, err
}

func (l *lister) listFolder(ctx context.Context) (files []remote, err error) {
	err = l.ReadText(ctx, l.version.Folder(), "application/json", func(response *http.Response) error {
		l.version, _ = l.version.ExactFolder(response)
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
	if err := json.NewDecoder(response.Body).Decode(&files); err != nil {
		return nil, readingError(err)
	}
	kept := files[:0]
	for _, file := range files {
		if !file.IsDir {
			kept = append(kept, file)
		}
	}
	return kept, nil
}

// readingError says of an error that a listing was cut, or that it is none: only what was cut
// may come whole the next time.
func readingError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var size *http.MaxBytesError
	if errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &size) || errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: %w", errNoListing, err)
	}
	return fmt.Errorf("reading the listing: %w", err)
}

// listSums reads the names and digests of the SHA256SUMS that the server computes, which tells
// no sizes. A published one may leave files out.
func (l *lister) listSums(ctx context.Context) (files []remote, err error) {
	err = l.ReadText(ctx, l.version.File("SHA256SUMS"), "text/plain", func(response *http.Response) error {
		if exact, other := l.version.Exact(response); other {
			l.version = exact
			return errOther
		}
		if client.IsPublished(response) {
			return errPublished
		}
		files = nil
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			sum, name, found := strings.Cut(lines.Text(), "  ")
			if _, err := store.ParseDigest(sum); err != nil || !found {
				return errNoListing
			}
			files = append(files, remote{Name: name, Size: -1, SHA256: sum})
		}
		if err := lines.Err(); err != nil {
			return readingError(err)
		}
		return nil
	})
	return files, err
}
