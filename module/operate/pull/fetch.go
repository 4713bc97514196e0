package pull

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/operate/terminal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// partSuffix ends the name of a file that was not fetched whole yet. With its comma no
// registry has a file of that name.
const partSuffix = ",part"

// maxPartName is how many bytes the name of a file may have on most file systems.
const maxPartName = 255

// partOf is the name that a file has until it was fetched whole.
func partOf(name string) string {
	if len(name)+len(partSuffix) <= maxPartName {
		return name + partSuffix
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:]) + partSuffix
}

// fetcher fetches files of one version.
type fetcher struct {
	*client.Client
	version client.VersionURL
	folder  string
	meter   *terminal.Meter
}

var errWrongDigest = errors.New("the downloaded bytes do not have the SHA-256 that the server names")

// fetch fetches one file, unless it is there already.
func (f *fetcher) fetch(ctx context.Context, file remote) (there bool, err error) {
	place := filepath.Join(f.folder, file.Name)
	want, told := file.digest()
	if !told {
		return false, errors.New("the server does not name the SHA-256 of the file")
	}
	switch got, err := digestOfFile(ctx, place); {
	case err == nil && got == want:
		return true, nil
	case err == nil:
		return false, fmt.Errorf("%w: %s is there, and is another file", client.ErrLocal, place)
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	part := filepath.Join(f.folder, partOf(file.Name))
	// What was left may be of another file: then all of it comes again, once.
	for range 2 {
		got, err := f.fetchPart(ctx, file, part)
		if err != nil {
			return false, err
		}
		if got == want {
			return false, f.place(part, place)
		}
		if err := os.Remove(part); err != nil {
			return false, fmt.Errorf("%w: %w", client.ErrLocal, err)
		}
	}
	return false, errWrongDigest
}

// place gives a file its name. Nothing that came meanwhile is replaced. Nobody is told that the
// name is durable: after a power cut the same command fetches what is missing.
func (f *fetcher) place(part, place string) error {
	if _, err := os.Lstat(place); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is there by now", client.ErrLocal, place)
	}
	if err := os.Rename(part, place); err != nil {
		return fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	return nil
}

func digestOfFile(ctx context.Context, place string) (digest store.Digest, err error) {
	opened, err := os.Open(place)
	if err != nil {
		return digest, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return digest, err
	}
	if !info.Mode().IsRegular() {
		return digest, fmt.Errorf("%s is no file", place)
	}
	return client.HashFile(ctx, opened, info.Size())
}

// fetchPart fetches a file, or what is missing of it, and returns the digest of all.
func (f *fetcher) fetchPart(ctx context.Context, file remote, part string) (digest store.Digest, err error) {
	opened, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return digest, fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	p := partial{fetcher: f, file: file, opened: opened, hash: sha256.New()}
	if err := p.hashLeft(ctx); err != nil {
		return digest, errors.Join(err, opened.Close())
	}
	err = f.Patiently(ctx, file.Name, func() (bool, error) {
		before := p.size
		err := p.get(ctx)
		return p.size > before, err
	})
	if err == nil {
		err = opened.Sync()
	}
	if err := errors.Join(err, opened.Close()); err != nil {
		return digest, err
	}
	p.hash.Sum(digest[:0])
	return digest, nil
}

// partial is a file of which some bytes are there.
type partial struct {
	*fetcher
	file   remote
	opened *os.File
	hash   hash.Hash
	size   int64
}

// hashLeft reads what an earlier run left.
func (p *partial) hashLeft(ctx context.Context) error {
	size, err := io.Copy(p.hash, &contextReader{ctx, p.opened})
	if err != nil {
		return fmt.Errorf("%w: reading what is there: %w", client.ErrLocal, err)
	}
	p.size = size
	if p.file.Size >= 0 && size > p.file.Size {
		return p.restart()
	}
	p.meter.Stand(p.file.Name, size)
	return nil
}

func (p *partial) restart() error {
	p.hash.Reset()
	p.size = 0
	p.meter.Stand(p.file.Name, 0)
	_, err := p.opened.Seek(0, io.SeekStart)
	if err := errors.Join(err, p.opened.Truncate(0)); err != nil {
		return fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	return nil
}

// get asks for what is missing.
func (p *partial) get(ctx context.Context) error {
	if p.file.Size >= 0 && p.size == p.file.Size {
		return nil
	}
	request, err := p.Request(ctx, http.MethodGet, p.version.File(p.file.Name), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "identity")
	if p.size > 0 {
		request.Header.Set("Range", "bytes="+strconv.FormatInt(p.size, 10)+"-")
	}
	response, err := p.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() // of what may be left of a file nothing is read
	switch response.StatusCode {
	case http.StatusPartialContent:
		if !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", p.size)) {
			return fmt.Errorf("the server sends another part than the requested one: %q", client.Printable(response.Header.Get("Content-Range")))
		}
	case http.StatusOK:
		if p.size > 0 {
			if err := p.restart(); err != nil {
				return err
			}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		return nil // all of it is there, or too much: the digest tells
	default:
		return client.RefusedBy(response)
	}
	return p.receive(response)
}

// receive appends an answer to what is there.
func (p *partial) receive(response *http.Response) error {
	before, body := p.size, io.Reader(response.Body)
	if p.file.Size >= 0 {
		body = io.LimitReader(body, p.file.Size-before+1) // one more tells that it is too long
	}
	n, err := io.Copy(io.MultiWriter(localWriter{p.opened}, p.hash, meterWriter{p}), body)
	switch {
	case err != nil:
		return err
	case response.ContentLength >= 0 && n != response.ContentLength, p.file.Size >= 0 && before+n != p.file.Size:
		return fmt.Errorf("the file ends after %d bytes", before+n)
	}
	return nil
}

// localWriter says of errors that they are this machine's.
type localWriter struct{ file *os.File }

func (w localWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if err != nil {
		err = fmt.Errorf("%w: %w", client.ErrLocal, err)
	}
	return n, err
}

type meterWriter struct{ *partial }

func (w meterWriter) Write(b []byte) (int, error) {
	w.size += int64(len(b))
	w.meter.Add(w.file.Name, int64(len(b)))
	return len(b), nil
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx    context.Context
	reader io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.reader.Read(p)
}
