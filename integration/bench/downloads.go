package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// fetching is a way to ask for a file.
type fetching struct {
	method     string
	authorized bool
	first      int64 // of a range
	length     int64 // of it; 0 for all
	validated  bool  // with the validator of the file: the answer is 304
}

var get = fetching{method: http.MethodGet}

func (f fetching) request(e *endpoint, path string, file content, validators http.Header) request {
	q := request{method: f.method, status: http.StatusOK, size: file.size}
	var fields []string
	if f.authorized {
		fields = append(fields, "Authorization", e.authorization)
	}
	if f.length > 0 {
		fields = append(fields, "Range", fmt.Sprintf("bytes=%d-%d", f.first, f.first+f.length-1))
		q.status, q.size = http.StatusPartialContent, f.length
	}
	if f.validated {
		if etag := validators.Get("ETag"); etag != "" {
			fields = append(fields, "If-None-Match", etag)
		} else {
			fields = append(fields, "If-Modified-Since", validators.Get("Last-Modified"))
		}
		q.status, q.size = http.StatusNotModified, 0
	}
	if f.method == http.MethodHead {
		q.size = 0
	}
	q.head = e.head(f.method, path, fields...)
	return q
}

// fetch is the side of a cell that downloads a file from an endpoint.
func (l *lab) fetch(e *endpoint, file content, clients int, how fetching) side {
	var q request
	check := func(ctx context.Context) error {
		var validators http.Header
		if !e.fixed {
			var err error
			if validators, err = l.offer(ctx, e, file); err != nil {
				return err
			}
		}
		q = how.request(e, l.filePath(e, file), file, validators)
		first := q
		if q.size > 0 && !e.fixed {
			first.read = func(r io.Reader) error { return file.verify(r, how.first, q.size) }
		}
		c := &connection{endpoint: e}
		defer c.close()
		header, err := c.do(ctx, first)
		if err != nil {
			return err
		}
		if size := strconv.FormatInt(file.size, 10); how.method == http.MethodHead && header.Get("Content-Length") != size {
			return fmt.Errorf("%s: a HEAD has length %q instead of %s", e.label, header.Get("Content-Length"), size)
		}
		return nil
	}
	run := func(ctx context.Context) (sample, error) {
		return e.load(ctx, amount{clients: clients, duration: l.seconds}, q.size, func(c *connection, _ int) error {
			_, err := c.do(ctx, q)
			return err
		})
	}
	return side{name: e.name, label: e.label, chart: l.chartOf(e), check: check, run: run}
}

// fetchFrom are the sides of several endpoints; of those that there are.
func (l *lab) fetchFrom(file content, clients int, how fetching, endpoints ...*endpoint) (sides []side) {
	for _, e := range append(endpoints, l.peer) {
		if e != nil {
			sides = append(sides, l.fetch(e, file, clients, how))
		}
	}
	return sides
}

// archivedFiles is in how many files a version is that is downloaded whole.
const archivedFiles = 16

// archived is the side of a cell that downloads a version as a tar, as large as a huge file.
func (l *lab) archived(e *endpoint) side {
	var q request
	check := func(ctx context.Context) error {
		c := &connection{endpoint: e}
		defer c.close()
		part := func(i int) content { return content{seed: 1<<62 + uint64(i), size: l.huge / archivedFiles} }
		for i := range archivedFiles {
			if err := c.publish(ctx, e.path(l.pkg, "3.0.0", fmt.Sprintf("file-%02d", i)), part(i)); err != nil {
				return err
			}
		}
		q = request{method: http.MethodGet, head: e.head(http.MethodGet, e.path(l.pkg, "3.0.0", "")+"?archive=tar"), status: http.StatusOK}
		first := q
		first.read = func(r io.Reader) error {
			in := tar.NewReader(r)
			for i := range archivedFiles {
				if _, err := in.Next(); err != nil {
					return err
				}
				if err := part(i).verify(in, 0, part(i).size); err != nil {
					return err
				}
			}
			_, err := io.Copy(io.Discard, r)
			return err
		}
		header, err := c.do(ctx, first)
		if err != nil {
			return err
		}
		q.size, err = strconv.ParseInt(header.Get("Content-Length"), 10, 64)
		return err
	}
	run := func(ctx context.Context) (sample, error) {
		return e.load(ctx, amount{clients: 1, duration: l.seconds}, q.size, func(c *connection, _ int) error {
			_, err := c.do(ctx, q)
			return err
		})
	}
	return side{name: e.name, label: e.label, chart: l.chartOf(e), check: check, run: run}
}

func (l *lab) largeDownloads() (cells []*cell) {
	file := l.file(l.huge)
	size := sizeName(l.huge)
	targets := []target{atLeast("file_server", 1.5), cpuAtMost("file_server", 0.45), atLeast("nginx", 0.9)}
	for _, clients := range []int{1, 4} {
		cells = append(cells, &cell{
			name:      fmt.Sprintf("GET %s, %s", size, count(clients, "client")),
			benchmark: fmt.Sprintf("Get/size=%s/c=%d", compact(size), clients),
			measure:   throughput, targets: targets,
			sides: l.fetchFrom(file, clients, get, l.registry.password, l.stock.files, l.nginxFiles(), l.sendfile),
		})
	}
	cells = append(cells, &cell{
		name:      fmt.Sprintf("GET a version of %s in %d files as a tar, 1 client", size, archivedFiles),
		benchmark: fmt.Sprintf("GetTar/size=%s/c=1", compact(size)),
		measure:   throughput, targets: []target{atLeast("file_server", 0.8)},
		sides: []side{l.archived(l.registry.password), l.fetch(l.stock.files, file, 1, get)},
	})
	middle := fetching{method: http.MethodGet, first: l.huge/4 + 12345, length: l.huge / 2}
	return append(cells, &cell{
		name:      fmt.Sprintf("GET a range of %s in the middle, 1 client", sizeName(middle.length)),
		benchmark: fmt.Sprintf("GetRange/size=%s/c=1", compact(sizeName(middle.length))),
		measure:   throughput, targets: targets,
		sides: l.fetchFrom(file, 1, middle, l.registry.password, l.stock.files, l.sendfile),
	})
}

func (l *lab) smallDownloads() (cells []*cell) {
	file := l.file(l.small)
	size := sizeName(l.small)
	for _, clients := range []int{1, 8, 64} {
		cells = append(cells, &cell{
			name:      fmt.Sprintf("GET %s, %s", size, count(clients, "client")),
			benchmark: fmt.Sprintf("Get/size=%s/c=%d", compact(size), clients),
			measure:   operations, targets: []target{atLeast("file_server", 1), atLeast("respond", 0.95)},
			sides: l.fetchFrom(file, clients, get, l.registry.password, l.stock.files, l.stock.respond),
		})
	}
	anonymous := l.fetch(l.registry.password, file, 8, get)
	anonymous.name, anonymous.label = "anonymous", "without credentials"
	authorized := fetching{method: http.MethodGet, authorized: true}
	cells = append(cells,
		&cell{
			name: fmt.Sprintf("GET %s with a password in the cache, 8 clients", size), benchmark: fmt.Sprintf("GetPassword/size=%s/c=8", compact(size)),
			measure: operations, targets: []target{atLeast("anonymous", 0.6)},
			sides: []side{l.fetch(l.registry.password, file, 8, authorized), anonymous},
		},
		&cell{
			name: fmt.Sprintf("GET %s with a token, 8 clients", size), benchmark: fmt.Sprintf("GetToken/size=%s/c=8", compact(size)),
			measure: operations, targets: []target{atLeast("anonymous", 0.9)},
			sides: []side{l.fetch(l.registry.token, file, 8, authorized), anonymous},
		},
		&cell{
			name: fmt.Sprintf("HEAD %s, 8 clients", size), benchmark: fmt.Sprintf("Head/size=%s/c=8", compact(size)),
			measure: operations, sides: l.fetchFrom(file, 8, fetching{method: http.MethodHead}, l.registry.password, l.stock.files),
		},
		&cell{
			name: fmt.Sprintf("GET %s that has not changed (304), 8 clients", size), benchmark: fmt.Sprintf("GetNotModified/size=%s/c=8", compact(size)),
			measure: operations, sides: l.fetchFrom(file, 8, fetching{method: http.MethodGet, validated: true}, l.registry.password, l.stock.files),
		})
	return cells
}
