package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// scope is how much the cells do.
type scope struct {
	seconds             time.Duration // that each side of a cell runs, in each round
	small, medium, huge int64         // sizes of files
	uploads             int           // of medium files at once
	slow                int           // uploads, and downloads, that are slow, at once
	slowTime            time.Duration
	slowSize            int64         // of a slow download
	settle, later       time.Duration // before idle memory is read, and after much was done
	scale               int           // files that a registry is filled with; 0 for none
}

var (
	full = scope{small: 4 * kibibyte, medium: 64 * mebibyte, huge: gibibyte, uploads: 64, slow: 1000, slowTime: 8 * time.Second, slowSize: 4 * mebibyte, settle: 2 * time.Second, later: time.Minute}

	// quick is every kind of cell, at sizes that only show that it works.
	quick = scope{small: 4 * kibibyte, medium: 256 * kibibyte, huge: 8 * mebibyte, uploads: 8, slow: 20, slowTime: 400 * time.Millisecond, slowSize: mebibyte, scale: 300}
)

// lab is what the cells are measured on.
type lab struct {
	scope
	dir       string // for everything
	caddy     string // binaries
	stockPath string

	registry *registryServer
	stock    *stockServer
	nginx    *nginxServer // nil where it is not installed
	sendfile *endpoint
	filled   *filled   // nil unless there are cells of many files
	peer     *endpoint // nil without one

	progress io.Writer
	pkg      string // package of this run's files
	sequence atomic.Int64
	offered  map[place]bool // files that servers have
}

// cleanPeer deletes what this run left there; it is somebody else's.
func (l *lab) cleanPeer() error {
	if l.peer == nil {
		return nil
	}
	c := &connection{endpoint: l.peer}
	defer c.close()
	for at := range l.offered {
		if at.address != l.peer.address {
			continue
		}
		if err := c.remove(context.Background(), at.path); err != nil { // after an interrupt too
			return err
		}
	}
	return nil
}

// place is where a file is.
type place struct {
	process       *process
	address, path string
}

// newLab starts the servers. Closing is needed after an error too.
func newLab(ctx context.Context, s scope, dir, caddy, stock string, peer *endpoint, progress io.Writer) (*lab, error) {
	l := &lab{scope: s, dir: dir, caddy: caddy, stockPath: stock, peer: peer, progress: progress,
		pkg: "bench-" + strings.ToLower(rand.Text()[:10]), offered: map[place]bool{}}
	var err error
	if l.registry, err = startRegistry(ctx, caddy, filepath.Join(dir, "registry")); err != nil {
		return l, err
	}
	if err = l.registry.makeToken(ctx); err != nil {
		return l, err
	}
	if l.stock, err = startStock(ctx, stock, filepath.Join(dir, "stock"), l.small); err != nil {
		return l, err
	}
	if l.nginx, err = startNginx(ctx, filepath.Join(dir, "nginx"), l.stock.root); err != nil {
		return l, err
	}
	if l.nginx == nil {
		fmt.Fprintln(progress, "nginx is not installed: nothing is compared with it")
	}
	l.sendfile, err = startSendfile(l.stockFile(l.file(l.huge)))
	return l, err
}

func (l *lab) close() {
	if l.registry != nil {
		l.registry.kill()
	}
	if l.filled != nil && l.filled.registryServer != nil {
		l.filled.kill()
	}
	if l.stock != nil {
		l.stock.kill()
	}
	if l.nginx != nil {
		_ = l.nginx.stop() // and its workers
	}
}

// file is the one of a size that downloads are of.
func (l *lab) file(size int64) content { return content{seed: 1 << 63, size: size} }

// filePath is where it is, on each endpoint.
func (l *lab) filePath(e *endpoint, c content) string {
	return e.path(l.pkg, "1.0.0", "file-"+strconv.FormatInt(c.size, 10))
}

// nginxFiles is nil where there is no nginx.
func (l *lab) nginxFiles() *endpoint {
	if l.nginx == nil {
		return nil
	}
	return l.nginx.files
}

func (l *lab) stockFile(c content) string {
	return filepath.Join(l.stock.root, filepath.FromSlash(l.filePath(l.stock.files, c)))
}

// offer sees to it that an endpoint has the file of a content, with the right bytes,
// and returns the header that it is answered with.
func (l *lab) offer(ctx context.Context, e *endpoint, f content) (http.Header, error) {
	path := l.filePath(e, f)
	at := place{e.process, e.address, path}
	if e.process != nil {
		at.address = "" // it may have several
	}
	if !l.offered[at] {
		if err := l.put(ctx, e, f, path); err != nil {
			return nil, err
		}
		l.offered[at] = true
	}
	c := &connection{endpoint: e}
	defer c.close()
	return c.do(ctx, request{method: http.MethodGet, head: e.head(http.MethodGet, path), status: http.StatusOK,
		read: func(r io.Reader) error { return f.verify(r, 0, f.size) }})
}

func (l *lab) put(ctx context.Context, e *endpoint, f content, path string) error {
	if e != l.stock.files && e != l.nginxFiles() && e != l.sendfile {
		c := &connection{endpoint: e}
		defer c.close()
		return c.publish(ctx, path, f)
	}
	name := l.stockFile(f)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return writeFile(name, nil, f)
}

// publish sends one file.
func (c *connection) publish(ctx context.Context, path string, f content) error {
	head := c.head(http.MethodPut, path, "Authorization", c.authorization, "Content-Length", strconv.FormatInt(f.size, 10))
	_, err := c.do(ctx, request{method: http.MethodPut, head: head, body: &f, status: http.StatusCreated, size: -1})
	return err
}

// remove deletes a file or a version.
func (c *connection) remove(ctx context.Context, path string) error {
	head := c.head(http.MethodDelete, path, "Authorization", c.authorization)
	_, err := c.do(ctx, request{method: http.MethodDelete, head: head, status: http.StatusNoContent, size: -1})
	return err
}

// holds tells whether a file has the right bytes.
func (c *connection) holds(ctx context.Context, path string, f content) error {
	_, err := c.do(ctx, request{method: http.MethodGet, head: c.head(http.MethodGet, path), status: http.StatusOK,
		read: func(r io.Reader) error { return f.verify(r, 0, f.size) }})
	return err
}

// lacks tells whether there is no such file.
func (c *connection) lacks(ctx context.Context, path string) error {
	_, err := c.do(ctx, request{method: http.MethodGet, head: c.head(http.MethodGet, path), status: http.StatusNotFound, size: -1})
	return err
}

// registries are the endpoints that files can be published to, this Caddy first.
func (l *lab) registries() []*endpoint {
	if l.peer == nil {
		return []*endpoint{l.registry.password}
	}
	return []*endpoint{l.registry.password, l.peer}
}

// chartOf is the panel for comparisons with an endpoint.
func (l *lab) chartOf(e *endpoint) string {
	switch e {
	case l.stock.files, l.stock.respond:
		return againstStock
	case l.nginxFiles():
		return againstNginx
	case l.sendfile:
		return againstLimits
	case l.peer:
		return againstPeer
	}
	return againstItself
}

// cells are all that there is to measure.
func (l *lab) cells() []*cell {
	return slices.Concat(l.largeDownloads(), l.smallDownloads(), l.publishes(), l.uploads(), l.memoryCells(), l.slowCells(), l.scaleCells())
}
