package integration

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// republishing are owners of which each has another word. alice writes, bob is an admin.
var republishing = []string{
	"admin bob",
	"owner rejects {", "\twrite alice", "}",
	"owner same {", "\twrite alice", "\ton_duplicate same", "}",
	"owner replaces {", "\twrite alice", "\ton_duplicate replace", "}",
	"owner fixed {", "\twrite alice", "\ton_duplicate replace", "\timmutable",
	"\tpackage nightly {", "\t\timmutable off", "\t}", "\tpackage strict {", "\t\ton_duplicate reject", "\t}", "}",
}

// reprDigest is the header line that names what bytes have (RFC 9530).
func reprDigest(content []byte) header {
	sum := sha256.Sum256(content)
	return header{"Repr-Digest", "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}
}

// TestPublishingAgain: what a second publish under a name does, in whichever way it comes.
func TestPublishingAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t, republishing...)
	content, other := []byte("the first"), []byte("another")
	ways := []struct {
		name string
		send func(s *server, path, user string, content []byte) answer
	}{
		{"at once", func(s *server, path, user string, content []byte) answer {
			return s.do(http.MethodPut, path, user, content)
		}},
		{"chunked", func(s *server, path, user string, content []byte) answer {
			got, err := s.try(http.MethodPut, path, user, io.MultiReader(bytes.NewReader(content)))
			if err != nil {
				s.Fatal(err)
			}
			return got
		}},
		{"with its digest", func(s *server, path, user string, content []byte) answer {
			return s.do(http.MethodPut, path, user, content, reprDigest(content))
		}},
		{"with its digest, when asked", func(s *server, path, user string, content []byte) answer {
			return s.do(http.MethodPut, path, user, content, reprDigest(content), header{"Expect", "100-continue"})
		}},
		{"as a form", func(s *server, path, user string, content []byte) answer {
			form := "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + string(content) + "\r\n--X--\r\n"
			return s.do(http.MethodPut, path, user, []byte(form), header{"Content-Type", "multipart/form-data; boundary=X"})
		}},
		{"in several requests", func(s *server, path, user string, content []byte) answer {
			begun := s.do(http.MethodPut, path, user, nil, interop, incomplete)
			if begun.status != http.StatusCreated {
				return begun
			}
			upload := begun.header.Get("Location")
			s.want(http.StatusNoContent, http.MethodPatch, upload, user, content[:3], partial, uploadOffset(0), incomplete)
			return s.do(http.MethodPatch, upload, user, content[3:], partial, uploadOffset(3), complete)
		}},
	}
	const taken = "package file already exists"
	for _, test := range []struct {
		owner, pkg, user string
		same, other      int
		says             string
	}{
		{"rejects", "p", "alice", 409, 409, taken},
		{"rejects", "p", "bob", 409, 409, taken},
		{"same", "p", "alice", 201, 409, taken + " with other bytes"},
		{"replaces", "p", "alice", 201, 201, ""},
		{"fixed", "p", "alice", 201, 409, taken + ": fixed/p is immutable"},
		{"fixed", "p", "bob", 201, 201, ""},
		{"fixed", "nightly", "alice", 201, 201, ""},
		{"fixed", "strict", "bob", 409, 409, taken + ": fixed/strict is immutable"},
	} {
		for i, way := range ways {
			t.Run(fmt.Sprintf("%s/%s by %s, %s", test.owner, test.pkg, test.user, way.name), func(t *testing.T) {
				s := s.in(t)
				path := filePath(test.owner, test.pkg, fmt.Sprint(test.user, i), "f")
				s.put(path, content)
				first := s.want(200, http.MethodGet, path, "", nil).header
				check := func(what string, got answer, status int, want []byte) {
					t.Helper()
					if got.status != status || status == 409 && !strings.Contains(got.text(), test.says) {
						t.Errorf("%s: %d %s, want %d %s", what, got.status, got.text(), status, test.says)
					}
					if status == 201 && got.header.Get("Repr-Digest") != reprDigest(want).value {
						t.Errorf("%s: Repr-Digest is %q", what, got.header.Get("Repr-Digest"))
					}
				}
				check("the same bytes", way.send(s, path, test.user, content), test.same, content)
				kept := s.want(200, http.MethodGet, path, "", nil)
				if !bytes.Equal(kept.body, content) || kept.header.Get("Last-Modified") != first.Get("Last-Modified") {
					t.Errorf("after the same bytes there are %q of %s, not of %s", kept.body, kept.header.Get("Last-Modified"), first.Get("Last-Modified"))
				}
				check("other bytes", way.send(s, path, test.user, other), test.other, other)
				now := s.want(200, http.MethodGet, path, "", nil)
				want := content
				if test.other == 201 {
					want = other
				}
				if !bytes.Equal(now.body, want) {
					t.Errorf("after other bytes there are %q, want %q", now.body, want)
				}
				if moved := now.header.Get("Last-Modified") != first.Get("Last-Modified"); moved != (test.other == 201) {
					t.Errorf("after other bytes the date is %s, before %s", now.header.Get("Last-Modified"), first.Get("Last-Modified"))
				}
			})
		}
	}
	if left := s.sessions(); len(left) > 0 {
		t.Errorf("uploads are left: %q", left)
	}
}

// TestWhatIsImmutable: only an admin deletes, and new files are published.
func TestWhatIsImmutable(t *testing.T) {
	t.Parallel()
	s := startServer(t, append([]string{"browse"}, republishing...)...)
	file, version := filePath("fixed", "p", "1", "f"), versionPath("fixed", "p", "1")
	const inAPI = "/api/v1/packages/fixed/generic/p"
	s.put(file, []byte("x"))
	s.put(filePath("fixed", "p", "1", "g"), []byte("a file more"))
	s.put(filePath("fixed", "p", "2", "f"), []byte("a version more"))
	for _, path := range []string{file, version, inAPI + "/1", inAPI} {
		if got := s.want(403, http.MethodDelete, path, "alice", nil); !strings.Contains(got.text(), "fixed/p is immutable: only an admin may delete files there") {
			t.Errorf("DELETE %s: %s", path, got.text())
		}
		s.want(401, http.MethodDelete, path, "", nil)
	}
	s.wantBytes(file, []byte("x"))
	for folder, want := range map[string]bool{"fixed/generic/p/": true, "fixed/generic/p/1/": true, "same/generic/p/": false} {
		s.put(filePath("same", "p", "1", folder[:3]), []byte("x"))
		page := s.want(200, http.MethodGet, api+folder, "", nil, header{"Accept", "text/html"})
		if is := strings.Contains(page.text(), ">immutable<"); is != want {
			t.Errorf("the page %s says that it is immutable: %v, want %v", folder, is, want)
		}
	}
	s.put(filePath("fixed", "nightly", "1", "f"), []byte("x"))
	s.want(204, http.MethodDelete, versionPath("fixed", "nightly", "1"), "alice", nil)
	s.want(204, http.MethodDelete, file, "bob", nil)
	s.want(204, http.MethodDelete, version, "bob", nil)
	s.want(204, http.MethodDelete, inAPI, "bob", nil)
	s.want(404, http.MethodGet, filePath("fixed", "p", "2", "f"), "", nil)

	// Drafts are not published yet.
	draft := versionPath("fixed", "p", "3")
	for _, content := range []string{"a", "b"} {
		s.want(201, http.MethodPut, draft+"/f?draft", "alice", []byte(content))
	}
	begun := s.want(201, http.MethodPut, draft+"/f?draft", "alice", nil, interop, incomplete)
	s.want(201, http.MethodPatch, begun.header.Get("Location"), "alice", []byte("several"), partial, uploadOffset(0), complete)
	s.wantBytes(draft+"/f", []byte("several"))
	s.want(201, http.MethodPut, draft+"/g?draft", "alice", []byte("g"))
	s.want(204, http.MethodDelete, draft+"/g", "alice", nil)
	s.want(204, http.MethodDelete, draft, "alice", nil)
	s.want(201, http.MethodPut, draft+"/f?draft", "alice", []byte("c"))
	s.want(409, http.MethodPut, draft+"/f", "alice", []byte("c"))
	s.want(200, http.MethodPost, draft+"?publish", "alice", nil)
	s.want(409, http.MethodPut, draft+"/f?draft", "alice", []byte("c"))
	s.want(403, http.MethodDelete, draft, "alice", nil)
	s.want(201, http.MethodPut, draft+"/f", "alice", []byte("c"))
	s.want(409, http.MethodPut, draft+"/f", "alice", []byte("d"))
	s.wantBytes(draft+"/f", []byte("c"))
	// What a draft of the other words takes.
	for owner, want := range map[string][2]int{"rejects": {409, 409}, "same": {201, 409}, "replaces": {201, 201}} {
		path := filePath(owner, "drafts", "1", "f")
		s.want(201, http.MethodPut, path+"?draft", "alice", []byte("a"))
		s.want(want[0], http.MethodPut, path+"?draft", "alice", []byte("a"))
		s.want(want[1], http.MethodPut, path+"?draft", "alice", []byte("b"))
	}
}

// asks tells whether the server asks for the body of a PUT with Expect, and its answer when
// it does not.
func (s *server) asks(path string, size int, headers ...header) (asked bool, got answer) {
	s.Helper()
	connection := s.connect()
	defer connection.Close()
	r := refusal{method: http.MethodPut, path: path, user: "alice", size: int64(size)}
	for _, h := range headers {
		r.headers += h.name + ": " + h.value + "\r\n"
	}
	if _, err := io.WriteString(connection, r.head(s.port, "Expect: 100-continue\r\n")); err != nil {
		s.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	line, err := reader.Peek(len("HTTP/1.1 100"))
	if err != nil {
		s.Fatal(err)
	}
	if string(line) == "HTTP/1.1 100" {
		return true, answer{}
	}
	if got, err = readAnswer(reader, &http.Request{Method: http.MethodPut}); err != nil {
		s.Fatal(err)
	}
	return false, got
}

// TestSameBytesNeedNotCome, when their client waits to be asked for them and says what they
// are. Those that are stored are read for that, and replaced where they are damaged.
func TestSameBytesNeedNotCome(t *testing.T) {
	t.Parallel()
	s := startServer(t, republishing...)
	s.faults = append(s.faults, "damage")
	content, other := pattern(1, 400_000), pattern(2, 400_000)
	size := len(content)
	digests := digestHeaders(content)
	checksum, md5 := digests[3], digests[1]
	for _, test := range []struct {
		name, owner string
		size        int
		headers     []header
		asked       bool
		status      int // when it is not
	}{
		{"Repr-Digest of the same bytes", "same", size, []header{reprDigest(content)}, false, 201},
		{"X-Checksum-Sha256 of the same bytes", "same", size, []header{checksum}, false, 201},
		{"the same bytes where others are taken too", "replaces", size, []header{checksum}, false, 201},
		{"the same bytes of what is immutable", "fixed", size, []header{checksum}, false, 201},
		{"the same bytes where none are taken", "rejects", size, []header{checksum}, false, 409},
		{"no digest", "same", size, nil, true, 0},
		{"another digest besides, of which the stored bytes say nothing", "same", size, []header{checksum, md5}, true, 0},
		{"a form", "same", size, []header{checksum, {"Content-Type", "multipart/form-data; boundary=X"}}, true, 0},
		{"other bytes", "same", size, []header{reprDigest(other)}, false, 409},
		{"bytes of another size", "same", size + 1, nil, false, 409},
		{"bytes of another size with the same digest", "same", size + 1, []header{checksum}, false, 409},
		{"other bytes where they are taken", "replaces", size, []header{reprDigest(other)}, true, 0},
		{"a digest that cannot be read", "same", size, []header{{"Repr-Digest", "sha-256=1"}}, false, 400},
		{"a condition that does not hold", "same", size, []header{checksum, {"If-None-Match", "*"}}, false, 412},
	} {
		for _, word := range []string{"", "?draft"} {
			t.Run(test.name+word, func(t *testing.T) {
				s := s.in(t)
				path := filePath(test.owner, "p", "1"+strings.Trim(word, "?"), "f")
				if got := s.do(http.MethodPut, path+word, "alice", content); got.status != 201 && got.status != 409 {
					t.Fatal(got.text())
				}
				asked, got := s.asks(path+word, test.size, test.headers...)
				if asked != test.asked || got.status != test.status {
					t.Errorf("asked for the body: %v, %d %s; want %v, %d", asked, got.status, got.text(), test.asked, test.status)
				}
				if got.status == 201 && (got.header.Get("Repr-Digest") != reprDigest(content).value || got.header.Get("X-Publish") != strings.Trim(word, "?")) {
					t.Errorf("the header is %v", got.header)
				}
				s.wantBytes(path, content)
			})
		}
	}
	// A client that does not wait for the answer hears it too.
	for range 5 {
		r := refusal{method: http.MethodPut, path: filePath("same", "p", "1", "f"), user: "alice", size: int64(size)}
		r.headers = "X-Checksum-Sha256: " + checksum.value + "\r\n"
		if got := s.exchange(r.head(s.port, "Expect: 100-continue\r\n"), content); got.status != 201 || !got.closes {
			t.Errorf("of bytes that came too early: %d %s, closes %v", got.status, got.text(), got.closes)
		}
	}
	// What is damaged is not taken for the same: the bytes that come take its place.
	path := filePath("same", "p", "2", "f")
	damaged := pattern(3, size)
	s.put(path, damaged)
	s.flip(damaged, size/2)
	if asked, got := s.asks(path, size, reprDigest(damaged)); !asked {
		t.Errorf("of damaged bytes: %d %s", got.status, got.text())
	}
	s.put(path, damaged, reprDigest(damaged), header{"Expect", "100-continue"})
	s.wantBytes(path, damaged)
}

// TestADownloadOfReplacedBytesIsWhole: it has the old bytes to its end, and later ones have
// the new.
func TestADownloadOfReplacedBytesIsWhole(t *testing.T) {
	t.Parallel()
	s := startServer(t, republishing...)
	old, now := pattern(1, 24<<20), pattern(2, 20<<20)
	path := filePath("replaces", "p", "1", "f")
	s.put(path, old)
	response, err := s.client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begun := make([]byte, 1<<20)
	if _, err := io.ReadFull(response.Body, begun); err != nil {
		t.Fatal(err)
	}
	s.put(path, now)
	got := s.want(200, http.MethodGet, path, "", nil)
	if !bytes.Equal(got.body, now) {
		t.Error("a later download does not have the new bytes")
	}
	if got.header.Get("Etag") == response.Header.Get("Etag") || got.header.Get("Last-Modified") == response.Header.Get("Last-Modified") {
		t.Errorf("both have %s of %s", got.header.Get("Etag"), got.header.Get("Last-Modified"))
	}
	rest, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Equal(append(begun, rest...), old) {
		t.Errorf("the download that was in progress has %d bytes, %v, or other ones", len(begun)+len(rest), err)
	}
	// Part of the one goes on with the other only if it is the same.
	part := s.want(200, http.MethodGet, path, "", nil, header{"Range", "bytes=5-"}, header{"If-Range", response.Header.Get("Etag")})
	if !bytes.Equal(part.body, now) {
		t.Error("a part of the new bytes was given for the old")
	}
	s.eventually("the old bytes are gone", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == 1 && len(uploads) == 0
	})
}

// TestManyReplaceAtOnce: all are taken, one is there, and a reader never sees a mixture.
func TestManyReplaceAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, append([]string{"owner * {", "\tmax_files 1", "\tquota 700KB", "}"}, republishing...)...)
	path := filePath("replaces", "p", "1", "f")
	s.put(path, pattern(0, 300_000))
	isOne := func(content []byte) bool {
		for i := range 6 {
			if bytes.Equal(content, pattern(i, 300_000)) {
				return true
			}
		}
		return false
	}
	var all sync.WaitGroup
	for i := 1; i < 6; i++ {
		all.Go(func() {
			for range 5 {
				// Two at once are more than the quota has room for.
				got, err := s.try(http.MethodPut, path, "alice", bytes.NewReader(pattern(i, 300_000)))
				if err != nil || got.status != 201 && got.status != 403 {
					t.Errorf("publishing: %d %s, %v", got.status, got.text(), err)
				}
			}
		})
		all.Go(func() {
			for range 20 {
				got, err := s.try(http.MethodGet, path, "", nil)
				if err != nil || got.status != 200 || !isOne(got.body) {
					t.Errorf("reading: %d, %d bytes, %v", got.status, len(got.body), err)
				}
			}
		})
	}
	all.Wait()
	s.put(path, pattern(5, 300_000))
	s.want(403, http.MethodPut, filePath("replaces", "p", "1", "g"), "alice", []byte("one more"))
	s.kill()
	s.start(s.site(republishing...))
	s.wantBytes(path, pattern(5, 300_000))
}

// TestPublishingAgainIsAudited, and said to be what it is. Parts of a file are no changes.
//
// Seen to fail with a line for each request of an upload.
func TestPublishingAgainIsAudited(t *testing.T) {
	t.Parallel()
	s := startServer(t, republishing...)
	path := filePath("replaces", "p", "1", "f")
	s.put(path, []byte("a"))
	s.put(path, []byte("a"))
	s.put(path, []byte("b"))
	upload := s.beginUpload(path)
	s.want(http.StatusNoContent, http.MethodPatch, upload, "alice", []byte("c"), partial, uploadOffset(0), incomplete)
	s.want(http.StatusCreated, http.MethodPatch, upload, "alice", []byte("c"), partial, uploadOffset(1), complete)
	s.want(http.StatusNoContent, http.MethodDelete, s.beginUpload(path), "alice", nil)
	s.want(403, http.MethodDelete, filePath("fixed", "p", "1", "f"), "alice", nil)
	var got []string
	for _, line := range s.auditLines() {
		got = append(got, fmt.Sprint(line.Status, " ", line.Republished))
	}
	if want := "201 , 201 same, 201 replaced, 201 replaced, 403 "; strings.Join(got, ", ") != want {
		t.Errorf("the audit log has %q, want %q", strings.Join(got, ", "), want)
	}
}
