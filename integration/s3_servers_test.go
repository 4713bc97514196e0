//go:build servers

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// onS3 has the bytes on a server. The secret is in the environment.
func onS3(s3 *servers.S3, more ...string) string {
	return fmt.Sprintf(`blobs s3 {
			endpoint %s
			insecure
			bucket %s
			key %s
			secret {env.TEST_S3_SECRET}
			%s
		}`, s3.Endpoint(), servers.Bucket, servers.Key, strings.Join(more, "\n\t\t\t"))
}

// newS3Server is a Caddy whose environment has the secret. It is not started.
func newS3Server(t testing.TB) *server {
	s := newServer(t)
	s.configure = func(command *exec.Cmd) { command.Env = append(command.Env, "TEST_S3_SECRET="+servers.Secret) }
	// What is logged of a server that does not answer is not what is tested here.
	s.faults = append(s.faults, "S3 server", "store is not available", "a store does not answer", "cannot be read", "until they are a day old")
	return s
}

// blobObjects counts the objects of blobs.
func blobObjects(t testing.TB, s3 *servers.S3) (count int) {
	t.Helper()
	for key := range s3.Objects(t) {
		if strings.HasPrefix(key, "registry/blobs-") {
			count++
		}
	}
	return count
}

// TestRegistryOnS3 is the life of a registry whose bytes are objects: files of every way to
// come, ranges, deleting, uploads in several requests through kill -9, and a restart.
func TestRegistryOnS3(t *testing.T) {
	t.Parallel()
	s3 := servers.StartS3(t)
	s := newS3Server(t)
	settings := []string{onS3(s3, "grace off", "part_size 5MiB"), "health /health", "resumable {\n\t\t\tmax_append off\n\t\t}"}
	s.start(s.site(settings...))

	files := map[string][]byte{
		filePath("alice", "app", "1", "empty"):   {},
		filePath("alice", "app", "1", "small"):   []byte("small"),
		filePath("alice", "app", "1", "large"):   pattern(1, 13_000_001),
		filePath("alice", "app", "1", "chunked"): pattern(2, 13_000_003),
	}
	for path, content := range files {
		if strings.HasSuffix(path, "chunked") {
			got, err := s.try(http.MethodPut, path, "alice", io.MultiReader(bytes.NewReader(content)))
			if err != nil || got.status != http.StatusCreated {
				t.Fatalf("a body of unknown length: %d, %v", got.status, err)
			}
			continue
		}
		s.put(path, content)
	}
	wantAll := func() {
		t.Helper()
		for path, content := range files {
			s.wantBytes(path, content)
		}
	}
	wantAll()
	if got := blobObjects(t, s3); got != len(files) {
		t.Errorf("%d objects, want %d", got, len(files))
	}

	large := filePath("alice", "app", "1", "large")
	content := files[large]
	for _, ranges := range []struct {
		header   string
		from, to int
	}{{"bytes=0-9", 0, 10}, {"bytes=6000000-6000999", 6_000_000, 6_001_000}, {"bytes=-5", 12_999_996, 13_000_001}, {"bytes=0-", 0, 13_000_001}} {
		got := s.want(http.StatusPartialContent, http.MethodGet, large, "alice", nil, header{"Range", ranges.header})
		if !bytes.Equal(got.body, content[ranges.from:ranges.to]) {
			t.Errorf("%s: %d bytes that are others", ranges.header, len(got.body))
		}
	}
	several := s.want(http.StatusPartialContent, http.MethodGet, large, "alice", nil, header{"Range", "bytes=0-9,7000000-7000009"})
	if !bytes.Contains(several.body, content[:10]) || !bytes.Contains(several.body, content[7_000_000:7_000_010]) {
		t.Error("an answer of two ranges does not have them")
	}

	// Equal contents are one object once the reaper came.
	again := filePath("alice", "app", "2", "small")
	s.put(again, []byte("small"))
	s.eventually("the replaced object is gone", func() bool { return blobObjects(t, s3) == len(files) })
	s.want(http.StatusNoContent, http.MethodDelete, filePath("alice", "app", "1", "chunked"), "alice", nil)
	delete(files, filePath("alice", "app", "1", "chunked"))
	files[again] = []byte("small")
	s.eventually("the deleted object is gone", func() bool { return blobObjects(t, s3) == len(files)-1 })

	// A file that needs more than 10,000 parts is refused before its first byte. Seen to fail with a
	// store that finds out when the parts are used up.
	tooLarge := s.want(http.StatusRequestEntityTooLarge, http.MethodPut, filePath("alice", "app", "1", "endless"), "alice", nil, uploadLength(1<<40), interop, incomplete)
	if !strings.Contains(string(tooLarge.body), "file too large") {
		t.Errorf("a file with too many parts is refused with %q", tooLarge.body)
	}

	path := filePath("alice", "app", "1", "resumed")
	whole := pattern(3, 12_500_000)
	upload := s.beginUpload(path, uploadLength(len(whole)))
	for _, end := range []int{6_000_000, 7_000_000, 7_000_001} {
		stands := s.offset(upload)
		s.want(http.StatusNoContent, http.MethodPatch, upload, "alice", whole[stands:end], partial, uploadOffset(stands), incomplete)
		s.kill()
		s.start(s.site(settings...))
		s.wantOffset(upload, end)
	}
	s.want(http.StatusCreated, http.MethodPatch, upload, "alice", whole[7_000_001:], partial, uploadOffset(7_000_001), complete)
	files[path] = whole
	wantAll()
	for key := range s3.Objects(t) {
		if strings.HasPrefix(key, "registry/uploads-") {
			t.Errorf("%s is left of an upload that is complete", key)
		}
	}

	s.mustCommand("verify")
	s.kill()
	s.start(s.site(settings...))
	wantAll()
	s.wantProbes(true, true)
	_, written := s.fromAdmin("/config/")
	for what, text := range map[string]string{"the log": s.logText(), "the configuration": string(written)} {
		if strings.Contains(text, servers.Secret) {
			t.Errorf("%s has the secret", what)
		}
	}
}

// halfUpload sends the first half of a file; the other one waits for the test.
func (s *server) halfUpload(path string, content []byte) (*slowBody, chan answer) {
	s.Helper()
	body, done := newSlowBody(s, content), make(chan answer, 1)
	go func() {
		got, err := s.try(http.MethodPut, path, "alice", body)
		if err != nil {
			s.Errorf("upload to %s: %v", path, err)
		}
		done <- got
	}()
	<-body.half
	return body, done
}

// offset is where an upload stands.
func (s *server) offset(upload string) (offset int) {
	s.Helper()
	got := s.want(http.StatusNoContent, http.MethodHead, upload, "alice", nil, interop)
	if _, err := fmt.Sscan(got.header.Get("Upload-Offset"), &offset); err != nil {
		s.Fatal(err)
	}
	return offset
}

// TestS3ThatDoesNotAnswer: a server that is frozen, and one that is gone. What needs its
// bytes is 503 with Retry-After within the deadline, and nothing of it is there afterwards;
// what does not goes on, and so do other sites. Caddy starts without the server, and has the
// registry when it is back.
func TestS3ThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		fail, mends func(*servers.S3, testing.TB)
	}{
		{"frozen", (*servers.S3).Freeze, (*servers.S3).Thaw},
		{"gone", func(s3 *servers.S3, _ testing.TB) { s3.Kill() }, (*servers.S3).Start},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s3 := servers.StartS3(t)
			s := newS3Server(t)
			other := freePort(t)
			config := s.site(onS3(s3, "timeout 2s"), "health /health") + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond other\n}\n", other)
			s.start(config)
			there := filePath("alice", "app", "1", "there")
			s.put(there, pattern(1, 900_000))
			tag := s.want(http.StatusOK, http.MethodHead, there, "alice", nil).header.Get("Etag")
			body, underWay := s.halfUpload(filePath("alice", "app", "1", "half"), pattern(4, 8_000_000))

			test.fail(s3, t)
			close(body.goOn)
			var asked sync.WaitGroup
			for name, request := range map[string]struct {
				method string
				size   int
			}{"small": {http.MethodPut, 100}, "large": {http.MethodPut, 3_000_000}, "there": {http.MethodGet, 0}} {
				asked.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					got, err := s.tryAt(ctx, s.port, request.method, filePath("alice", "app", "1", name), "alice", bytes.NewReader(pattern(2, request.size)))
					if err != nil || got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
						t.Errorf("%s %s: %d %q, %v; want 503 with Retry-After", request.method, name, got.status, got.text(), err)
					}
				})
			}
			asked.Wait()
			if got := <-underWay; got.status != http.StatusServiceUnavailable {
				t.Errorf("the upload that had begun: %d %q, want 503", got.status, got.text())
			}
			s.want(http.StatusOK, http.MethodHead, there, "alice", nil)
			s.want(http.StatusNotModified, http.MethodGet, there, "alice", nil, header{"If-None-Match", tag})
			if got, err := s.tryAt(t.Context(), other, http.MethodGet, "/", "", nil); err != nil || got.text() != "other" {
				t.Errorf("the other site: %d %q, %v", got.status, got.text(), err)
			}
			s.eventually("health tells", func() bool { status, _ := s.health(); return status == http.StatusServiceUnavailable })
			s.kill()
			s.start(config)
			s.want(http.StatusServiceUnavailable, http.MethodGet, there, "alice", nil)

			test.mends(s3, t)
			s.eventually("the registry is back", func() bool { return s.do(http.MethodGet, there, "alice", nil).status == http.StatusOK })
			s.wantBytes(there, pattern(1, 900_000))
			for _, name := range []string{"small", "large", "half"} {
				path := filePath("alice", "app", "1", name)
				s.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
				s.put(path, []byte(name))
			}
		})
	}
}

// TestDownloadsFromS3Itself: a GET is answered with a link that works without credentials
// and gives the bytes under their name; nothing else is, and nobody keeps the link.
func TestDownloadsFromS3Itself(t *testing.T) {
	t.Parallel()
	s3 := servers.StartS3(t)
	s := newS3Server(t)
	s.start(s.site(onS3(s3, "redirect 1m {", "\tpublic_endpoint "+strings.Replace(s3.Endpoint(), "127.0.0.1", "localhost", 1), "}")))
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	path := filePath("alice", "app", "1", "tool.bin")
	content := pattern(1, 500_000)
	s.put(path, content)

	got := s.want(http.StatusFound, http.MethodGet, path, "alice", nil)
	link, err := url.Parse(got.header.Get("Location"))
	if err != nil || link.Hostname() != "localhost" || got.header.Get("Cache-Control") != "private, no-store" || got.header.Get("Etag") != "" {
		t.Fatalf("the answer has %v", got.header)
	}
	// Seen to fail with the type of the answer's header, which is that of several ranges.
	several := s.want(http.StatusFound, http.MethodGet, path, "alice", nil, header{"Range", "bytes=0-1,5-6"})
	if location := several.header.Get("Location"); !strings.Contains(location, "response-content-type=application%2Foctet-stream") {
		t.Errorf("the link for several ranges is %s, of another type than the file", location)
	}
	for ranges, want := range map[string][]byte{"": content, "bytes=100-199": content[100:200]} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", ranges)
		if ranges == "" {
			request.Header.Del("Range")
		}
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		fetched, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || sha256.Sum256(fetched) != sha256.Sum256(want) {
			t.Errorf("the link gives %d, %d bytes, %v", response.StatusCode, len(fetched), err)
		}
		if disposition := response.Header.Get("Content-Disposition"); disposition != `attachment; filename="tool.bin"` {
			t.Errorf("the link's Content-Disposition is %q", disposition)
		}
	}
	s.want(http.StatusOK, http.MethodHead, path, "alice", nil)
	if strings.Contains(s.logText(), "X-Amz-Signature") {
		t.Error("the log has a link")
	}
}

// TestOfflineCommandsOnS3 verify, back up and restore a registry that no server has open, to
// an empty prefix and to no other.
func TestOfflineCommandsOnS3(t *testing.T) {
	s3 := servers.StartS3(t)
	s := newS3Server(t)
	t.Setenv("TEST_S3_SECRET", servers.Secret)
	s.start(s.site(onS3(s3)))
	path := filePath("alice", "app", "1", "f")
	s.put(path, pattern(1, 400_000))
	s.kill()
	config := []string{"--config", filepath.Join(s.dir, "Caddyfile")}
	backup := filepath.Join(s.dir, "backup")
	for _, arguments := range [][]string{{"verify", "--offline"}, {"backup", backup, "--offline"}, {"rebuild"}} {
		if output, err := s.registryCommand(append(arguments, config...)...); err != nil {
			t.Errorf("%v: %v\n%s", arguments, err, output)
		}
	}
	s.root = filepath.Join(s.dir, "restored")
	s.writeConfig(s.site(onS3(s3)))
	if output, err := s.registryCommand(append([]string{"restore", backup}, config...)...); err == nil || !strings.Contains(output, "is not empty") {
		t.Errorf("a restore over another registry: %v\n%s", err, output)
	}
	if output, err := s.registryCommand(append([]string{"verify", "--offline"}, config...)...); err == nil || !strings.Contains(output, "there is no registry") {
		t.Errorf("a verify of nothing: %v\n%s", err, output)
	}
	other := s.site(onS3(s3, "prefix restored"))
	s.writeConfig(other)
	if output, err := s.registryCommand(append([]string{"restore", backup}, config...)...); err != nil {
		t.Fatalf("restore: %v\n%s", err, output)
	}
	s.start(other)
	s.wantBytes(path, pattern(1, 400_000))
}

// TestS3ThatRefusesTheConfiguration fails the start, and a reload is refused while the old
// configuration serves on. A key that is changed by a reload is used at once.
func TestS3ThatRefusesTheConfiguration(t *testing.T) {
	t.Parallel()
	s3 := servers.StartS3(t)
	for what, change := range map[string][2]string{
		"a bucket that is not there": {"bucket " + servers.Bucket, "bucket nowhere"},
		"a key that is not known":    {"key " + servers.Key, "key another"},
		"a wrong secret":             {"secret {env.TEST_S3_SECRET}", "secret {env.HOME}"},
	} {
		s := newS3Server(t)
		s.faults = append(s.faults, "")
		config := strings.Replace(s.site(onS3(s3)), change[0], change[1], 1)
		s.launch(config)
		if ended := s.ended(); ended == nil || !strings.Contains(s.logText(), "the server refuses the configuration") {
			t.Errorf("%s: caddy ended with %v\n%s", what, ended, s.logTail())
		}
	}
	s := newS3Server(t)
	s.start(s.site(onS3(s3)))
	path := filePath("alice", "app", "1", "f")
	s.put(path, []byte("content"))
	moved := strings.Replace(s.site(onS3(s3)), "bucket "+servers.Bucket, "bucket nowhere", 1)
	if err := s.reload(moved); err == nil {
		t.Error("a reload with a bucket that is not there is accepted")
	}
	s.settle()
	s.wantBytes(path, []byte("content"))
	s.mustReload(strings.Replace(s.site(onS3(s3)), "secret {env.TEST_S3_SECRET}", "secret {env.HOME}", 1))
	s.want(http.StatusServiceUnavailable, http.MethodGet, path, "alice", nil)
	s.mustReload(s.site(onS3(s3)))
	s.eventually("the right secret is used", func() bool { return s.do(http.MethodGet, path, "alice", nil).status == http.StatusOK })
}

// TestMetadataOfOtherBytesOnS3 is refused: metadata that several processes may have open knows
// its blobs, as they know it. To a Caddy with another prefix every file would be missing.
// Seen to fail with a store on S3 that has no ID.
func TestMetadataOfOtherBytesOnS3(t *testing.T) {
	t.Parallel()
	s3, database := servers.StartS3(t), postgresServer(t)
	s := newS3Server(t)
	settings := append(s.onPostgres(database), onS3(s3))
	s.start(s.site(settings...))
	path := filePath("alice", "app", "1", "f")
	s.put(path, []byte("content"))
	s.kill()

	other := newS3Server(t)
	other.faults = append(other.faults, "")
	other.launch(other.site(append(other.onPostgres(database), onS3(s3, "prefix other"))...))
	if ended := other.ended(); ended == nil || !strings.Contains(other.logText(), "is of other blobs") {
		t.Errorf("caddy with other blobs ended with %v\n%s", ended, other.logTail())
	}
	s.start(s.site(settings...))
	s.wantBytes(path, []byte("content"))
}

// TestMemoryOfUploadsToS3: bytes of a known length pass through, those of an unknown one have
// upload_memory besides. Long, 64 of 64 MiB. Seen to fail with upload_memory in the heap, and
// with the large buffers of uploads to a disk.
func TestMemoryOfUploadsToS3(t *testing.T) {
	t.Parallel()
	const clients = 64
	size := 2 << 20
	if isLong() {
		size = 64 << 20
	}
	for _, test := range []struct {
		name      string
		known     bool
		allowance int64
	}{{"known length", true, 96 << 20}, {"unknown length", false, 96<<20 + 64<<20}} {
		t.Run(test.name, func(t *testing.T) {
			s3 := servers.StartS3(t)
			s := newS3Server(t)
			s.start(s.site(onS3(s3, "upload_memory 64MiB", "timeout 1m")))
			s.put(filePath("alice", "warm", "1", "up"), []byte("x"))
			idle := s.resident("VmRSS")
			content := pattern(1, size)
			var uploads sync.WaitGroup
			began := time.Now()
			for i := range clients {
				uploads.Go(func() {
					var body io.Reader = bytes.NewReader(content)
					if !test.known {
						body = io.MultiReader(body)
					}
					got, err := s.try(http.MethodPut, filePath("alice", "large", "1", fmt.Sprint(i)), "alice", body)
					if err != nil || got.status != http.StatusCreated {
						t.Errorf("upload %d: %d %q, %v", i, got.status, got.text(), err)
					}
				})
			}
			uploads.Wait()
			t.Logf("%d uploads of %d MiB in %v", clients, size>>20, time.Since(began).Round(time.Millisecond))
			s.wantMemory(idle, test.allowance)
		})
	}
}
