package integration

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// digestHeaders are all headers that say what bytes are, with those of content.
func digestHeaders(content []byte) []header {
	m, s1, s256, s512 := md5.Sum(content), sha1.Sum(content), sha256.Sum256(content), sha512.Sum512(content)
	b64 := base64.StdEncoding.EncodeToString
	return []header{
		{"Content-MD5", b64(m[:])},
		{"X-Checksum-Md5", hex.EncodeToString(m[:])},
		{"X-Checksum-Sha1", hex.EncodeToString(s1[:])},
		{"X-Checksum-Sha256", strings.ToUpper(hex.EncodeToString(s256[:]))},
		{"X-Checksum-Sha512", hex.EncodeToString(s512[:])},
		{"Digest", "SHA-256=" + b64(s256[:])},
		{"Digest", "md5=" + b64(m[:]) + ", sha=" + b64(s1[:])},
		{"Content-Digest", "sha-256=:" + b64(s256[:]) + ":"},
		{"Content-Digest", "sha-512=:" + b64(s512[:]) + ":, sha-256=:" + b64(s256[:]) + ":"},
		{"Repr-Digest", "sha-256=:" + b64(s256[:]) + ":"},
		{"Repr-Digest", "sha-512=:" + b64(s512[:]) + ":"},
		{"Repr-Digest", "md5=:" + b64(m[:]) + ":, sha=:" + b64(s1[:]) + ":"},
	}
}

func isOfBody(h header) bool {
	return h.name == "Content-MD5" || h.name == "Content-Digest" || h.name == "Digest"
}

func TestDigestsOfUploads(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	content := []byte("hello world\n")
	right, wrong := digestHeaders(content), digestHeaders([]byte("Hello world\n"))
	serial := 0
	publish := func(body []byte, headers ...header) (answer, string) {
		serial++
		path := filePath("alice", "d", "1", fmt.Sprint("f", serial))
		return s.do(http.MethodPut, path, "alice", body, headers...), path
	}
	accepted := func(what string, stored, body []byte, headers ...header) {
		t.Helper()
		got, path := publish(body, headers...)
		if got.status != http.StatusCreated {
			t.Errorf("%s: %d %s", what, got.status, got.text())
			return
		}
		s.wantBytes(path, stored)
	}
	refused := func(what, text string, body []byte, headers ...header) {
		t.Helper()
		got, path := publish(body, headers...)
		if got.status != http.StatusBadRequest || !strings.HasPrefix(got.text(), text) {
			t.Errorf("%s: %d %s, want 400 %s", what, got.status, got.text(), text)
		}
		s.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
	}
	const mismatch, malformed = "digest does not match: ", "malformed "

	accepted("all that are right", content, content, right...)
	for i, h := range right {
		accepted("right "+h.name, content, content, h)
		refused("wrong "+h.name, mismatch, content, wrong[i])
		refused("right, but for one: "+h.name, mismatch, content, append(append([]header{}, right...), wrong[i])...)
		refused("right and wrong "+h.name, mismatch, content, wrong[i], right[(i+4)%len(right)])
		refused("malformed "+h.name, malformed, content, header{h.name, h.value[:len(h.value)-3]})
		refused("empty of right form "+h.name, mismatch, nil, h)
	}
	for _, h := range []header{
		{"Content-MD5", ""}, {"X-Checksum-Sha1", "xyz"}, {"Digest", "sha-256"}, {"Repr-Digest", "sha-256=1"},
		{"Content-Digest", "sha-256=(:YQ==:)"}, {"Repr-Digest", "sha-256=:YQ==:"}, {"Repr-Digest", "=:"},
	} {
		refused(fmt.Sprint("malformed ", h), malformed, content, h)
	}
	for _, h := range []header{
		{"Digest", "crc32=YQ==, unixsum=30637"}, {"Repr-Digest", "sha-3=:YQ==:"}, {"Content-Digest", "x=1"}, {"X-Checksum-Crc32", "zz"},
	} {
		accepted(fmt.Sprint("an unknown algorithm: ", h), content, content, h)
		refused(fmt.Sprint("an unknown algorithm does not hide another: ", h), mismatch, content, h, wrong[0])
	}

	// Of a form, some headers cover the body and some the file in it.
	form := []byte("--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + string(content) + "\r\n--X--\r\n")
	contentType := header{"Content-Type", "multipart/form-data; boundary=X"}
	for i, ofBody := range digestHeaders(form) {
		ofFile := right[i]
		covers, other := ofFile, ofBody
		if isOfBody(ofFile) {
			covers, other = ofBody, ofFile
		}
		accepted("form with "+covers.name, content, form, contentType, covers)
		refused("form with the other's "+other.name, mismatch, form, contentType, other)
	}
	s.eventually("the refused uploads are gone", func() bool {
		committed, uploads := s.blobs()
		return len(committed) == 1 && len(uploads) == 0
	})
}
