package integration

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dressedSite has everything around the registry that sees responses.
func (s *server) dressedSite() string {
	text := strings.Replace(s.site(), "\tgeneric_registry {", "\tlog\n\tencode zstd gzip\n\theader X-Of site\n\tgeneric_registry {", 1)
	return strings.Replace(text, "{\n", "{\n\tmetrics\n", 1)
}

// sentBy tells how many bytes went into sockets, by the kernel alone and out of the
// server's memory.
func (f *tracer) sentBy() (kernel, memory int64, sendfiles int) {
	f.Helper()
	for _, c := range f.calls() {
		_, afterName, _ := strings.Cut(c.arguments, "<")
		switch {
		case c.name == "sendfile":
			kernel += c.result
			sendfiles++
		case strings.HasPrefix(afterName, "socket:") || strings.HasPrefix(afterName, "TCP:"):
			memory += c.result
		}
	}
	return kernel, memory, sendfiles
}

// largestPiece is how much the kernel was asked to send at most.
func (f *tracer) largestPiece() (largest int64) {
	f.Helper()
	for _, c := range f.calls() {
		if c.name == "sendfile" {
			largest = max(largest, f.number(c.arguments[strings.LastIndex(c.arguments, " ")+1:]))
		}
	}
	return largest
}

// TestTheKernelSendsFiles: with Caddy's own timeouts and without, and whatever is
// around the registry, all of a file or of a range goes from the disk's cache to the
// connection, but for fewer bytes than a piece.
func TestTheKernelSendsFiles(t *testing.T) {
	t.Parallel()
	content := pattern(1, 20_000_000)
	for _, test := range []struct {
		name    string
		site    func(s *server) string
		largest int64 // piece, for a client that reads fast; 0: all at once
	}{
		{"as Caddy comes", func(s *server) string { return s.site() }, 256 << 10},
		{"without a timeout of writing", func(s *server) string { return inServers(s.site(), "\t\ttimeouts {\n\t\t\twrite_idle -1s\n\t\t}\n") }, 0},
		{"in pieces of 100 kB", func(s *server) string {
			return inServers(s.site(), "\t\ttimeouts {\n\t\t\twrite_max_chunk 100kB\n\t\t}\n")
		}, 100_000},
		{"in pieces of 1 MB", func(s *server) string {
			return inServers(s.site(), "\t\ttimeouts {\n\t\t\twrite_max_chunk 1MB\n\t\t}\n")
		}, 1_000_000},
		{"with a log, metrics, encode and headers around it", (*server).dressedSite, 256 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.start(test.site(s))
			path := filePath("alice", "p", "1", "f")
			s.put(path, content)
			for _, part := range []struct {
				name        string
				first, last int
			}{
				{"the whole file", 0, len(content) - 1},
				{"a range in the middle", 1_000_001, 17_999_998},
				{"a range to the end", 2_000_003, len(content) - 1},
				{"a range of one piece", 77, 77 + 100_000},
			} {
				var headers []header
				if part.last-part.first+1 < len(content) {
					headers = append(headers, header{"Range", fmt.Sprintf("bytes=%d-%d", part.first, part.last)}, header{"Accept-Encoding", "gzip, zstd"})
				}
				tracer := s.trace("sendfile,write,writev,sendto,sendmsg,splice")
				got := s.do(http.MethodGet, path, "alice", nil, headers...)
				want := content[part.first : part.last+1]
				// The client has the bytes before the call that sent them has ended.
				s.eventually(part.name+" is in the trace", func() bool {
					kernel, memory, _ := tracer.sentBy()
					return kernel+memory >= int64(len(want))
				})
				tracer.detach()
				if !bytes.Equal(got.body, want) {
					t.Errorf("%s: %d bytes that are not the %d", part.name, len(got.body), len(want))
				}
				kernel, memory, sendfiles := tracer.sentBy()
				const piece, head = 64 << 10, 512 + 2048
				if kernel+memory < int64(len(want)) || memory >= piece+head || sendfiles == 0 {
					t.Errorf("%s: of %d bytes the kernel sent %d in %d calls, and %d were copied", part.name, len(want), kernel, sendfiles, memory)
				}
				if got := tracer.largestPiece(); test.largest > 0 && len(want) > 10_000_000 && got != test.largest {
					t.Errorf("%s: the largest piece has %d bytes, want %d", part.name, got, test.largest)
				}
			}
		})
	}
}

// rawClient asks on one connection, so that a byte too many spoils the next answer.
type rawClient struct {
	*server
	conn   io.ReadWriteCloser
	answer *bufio.Reader
	minor  int // of HTTP/1
	host   string
}

func (c *rawClient) get(path string, ranges string) (*http.Response, []byte, error) {
	c.Helper()
	lines := fmt.Sprintf("GET %s HTTP/1.%d\r\nHost: %s\r\nConnection: keep-alive\r\n", path, c.minor, c.host)
	if ranges != "" {
		lines += "Range: bytes=" + ranges + "\r\n"
	}
	if _, err := io.WriteString(c.conn, lines+"\r\n"); err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(c.answer, nil)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

func (s *server) dialRaw(port, minor int, secure *tls.Config) *rawClient {
	s.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		s.Fatal(err)
	}
	host := "127.0.0.1"
	if secure != nil {
		conn, host = tls.Client(conn, secure), secure.ServerName
	}
	s.Cleanup(func() { conn.Close() })
	return &rawClient{server: s, conn: conn, answer: bufio.NewReader(conn), minor: minor, host: host}
}

// TestEveryRangeIsExact: random ranges of files, one after the other on one
// connection: every byte is the file's, and there are no others.
func TestEveryRangeIsExact(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 511, 512, 513, 4096, 65_535, 65_536, 66_048, 66_049, 131_584, 700_000, 3_000_000}
	for name, options := range map[string]string{
		"as Caddy comes":               "",
		"without a timeout of writing": "\t\ttimeouts {\n\t\t\twrite_idle -1s\n\t\t}\n",
		"in pieces of 1000 bytes":      "\t\ttimeouts {\n\t\t\twrite_max_chunk 1000B\n\t\t}\n",
		"in pieces of 1 MB":            "\t\ttimeouts {\n\t\t\twrite_max_chunk 1MB\n\t\t}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			secure, authority := s.startSecureWith(func(text string) string { return inServers(text, options) })
			for i, size := range sizes {
				s.put(filePath("alice", "p", "1", fmt.Sprint(size)), pattern(i, size))
			}
			roots := trusting(t, authority)
			rounds := 60
			if isLong() {
				rounds = 2000
			}
			random := rand.New(rand.NewPCG(1, 2))
			clients := map[string]func(path, ranges string) (int, http.Header, []byte, error){
				"HTTP/1.1": s.dialRaw(s.port, 1, nil).ranges,
				"HTTP/1.0": s.dialRaw(s.port, 0, nil).ranges,
				"TLS":      s.dialRaw(secure, 1, &tls.Config{RootCAs: roots, ServerName: "localhost"}).ranges,
				"HTTP/2":   s.http2Ranges(secure, &tls.Config{RootCAs: roots}),
			}
			for range rounds {
				which := random.IntN(len(sizes))
				size, path := sizes[which], filePath("alice", "p", "1", fmt.Sprint(sizes[which]))
				content := pattern(which, size)
				first := random.IntN(size)
				last := first + random.IntN(size-first)
				ranges, want := fmt.Sprintf("%d-%d", first, last), content[first:last+1]
				switch random.IntN(4) {
				case 0:
					ranges, want = fmt.Sprintf("%d-", first), content[first:]
				case 1:
					ranges, want = "", content
				}
				for client, get := range clients {
					status, header, got, err := get(path, ranges)
					if err != nil || !bytes.Equal(got, want) || (status == http.StatusPartialContent) != (ranges != "") {
						t.Fatalf("%s: %q of %d bytes: %d %v, %d bytes, want %d; %v", client, ranges, size, status, header, len(got), len(want), err)
					}
				}
			}
		})
	}
}

func (c *rawClient) ranges(path, ranges string) (int, http.Header, []byte, error) {
	response, body, err := c.get(path, ranges)
	if err != nil {
		return 0, nil, nil, err
	}
	return response.StatusCode, response.Header, body, nil
}

func (s *server) http2Ranges(port int, secure *tls.Config) func(path, ranges string) (int, http.Header, []byte, error) {
	transport := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, DisableCompression: true}
	s.Cleanup(transport.CloseIdleConnections)
	return func(path, ranges string) (int, http.Header, []byte, error) {
		request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://localhost:%d%s", port, path), nil)
		if err != nil {
			return 0, nil, nil, err
		}
		if ranges != "" {
			request.Header.Set("Range", "bytes="+ranges)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return 0, nil, nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if response.ProtoMajor != 2 {
			err = fmt.Errorf("answered over %s", response.Proto)
		}
		return response.StatusCode, response.Header, body, err
	}
}

// narrow makes a connection that the kernel buffers little for.
func (s *server) narrow() *net.TCPConn {
	s.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		s.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

const largeDownload = 48 << 20 // more than the buffers of a connection take

// TestSlowClients: a client that takes nothing for as long as write_idle is cut off,
// one that is slow and takes longer than that in all is not, and of one that sends
// too slowly for min_rate the connection ends, although the kernel sends the file.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	content := pattern(1, largeDownload)
	path := filePath("alice", "p", "1", "f")
	for _, test := range []struct {
		name, idle string
		pause      time.Duration // of the client, before each 256 KiB; 0: it takes nothing
		cut        bool
	}{
		{"takes nothing", "1s", 0, true},
		{"takes it slowly", "2s", 8 * time.Millisecond, false},
		{"takes it more slowly than is allowed", "1s 1000000000", 20 * time.Millisecond, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.start(inServers(s.site(), "\t\ttimeouts {\n\t\t\twrite_idle "+test.idle+"\n\t\t}\n"))
			s.put(path, content)
			before := s.descriptors()
			conn := s.narrow()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path); err != nil {
				t.Fatal(err)
			}
			if test.pause == 0 {
				s.eventually("the download began", func() bool { return s.descriptors() > before })
				s.eventually("it was cut off", func() bool { return s.descriptors() <= before })
			}
			var pace <-chan time.Time
			if test.pause > 0 {
				ticker := time.NewTicker(test.pause)
				defer ticker.Stop()
				pace = ticker.C
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(&pacedReader{response.Body, pace})
			if test.cut && (err == nil || len(got) >= len(content)) {
				t.Errorf("all %d bytes came", len(got))
			}
			if !test.cut && (err != nil || len(got) != len(content)) {
				t.Errorf("%d bytes of %d came, then %v", len(got), len(content), err)
			}
			if !bytes.HasPrefix(content, got) {
				t.Error("the bytes are not the file's")
			}
		})
	}
}

// pacedReader waits for a tick before each 256 KiB.
type pacedReader struct {
	io.Reader
	pace <-chan time.Time
}

func (r *pacedReader) Read(p []byte) (int, error) {
	if r.pace != nil {
		<-r.pace
	}
	return io.ReadAtLeast(r.Reader, p[:min(len(p), 256<<10)], 1)
}

// hasOpen tells whether a process has a file open, or one below a directory.
func hasOpen(process int, path string) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", process))
	if err != nil {
		return false
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && (target == path || strings.HasPrefix(target, path+"/")) {
			return true
		}
	}
	return false
}

// TestDownloadsThatBreakInTheMiddle: when the file becomes shorter the connection
// ends, before the length that was promised; when the client goes away the server
// lets go of the file.
func TestDownloadsThatBreakInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.faults = []string{"request failed", "blob is damaged"}
	s.start(s.site("scrub off"))
	path, content := filePath("alice", "p", "1", "f"), pattern(1, largeDownload)
	s.put(path, content)
	files, _ := s.blobs()
	if len(files) != 1 {
		t.Fatalf("there are %d blobs", len(files))
	}

	conn := s.narrow()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	s.eventually("the download began", func() bool { return hasOpen(s.process.Process.Pid, files[0].file) })
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the server lets go", func() bool { return !hasOpen(s.process.Process.Pid, files[0].file) })

	conn = s.narrow()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	const kept = 40<<20 + 12345
	files[0].cut(t, kept)
	got, err := io.ReadAll(response.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != kept || !bytes.Equal(got, content[:kept]) {
		t.Errorf("%d bytes of the %d that are left, then %v", len(got), kept, err)
	}
	s.want(http.StatusInternalServerError, http.MethodGet, path, "alice", nil)
}
