package module

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const formBody = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"b\"; filename=\"first\"\r\n\r\nfirst file\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"c\"; filename=\"second\"\r\n\r\nsecond file\r\n--X--\r\n"

func TestContent(t *testing.T) {
	sum := sha256.Sum256([]byte("first file"))
	storedSum := hex.EncodeToString(sum[:])
	for _, test := range []struct {
		name, contentType, body string
		header                  http.Header
		limit                   int64
		want                    string
		err                     error
	}{
		{name: "any type is stored as sent", contentType: "application/x-www-form-urlencoded", body: "a=b", want: "a=b"},
		{name: "a broken type is stored as sent", contentType: "a/b;;=", body: "x", want: "x"},
		{name: "no type at all", body: "x", want: "x"},
		{name: "the first file part of a form", contentType: "multipart/form-data; boundary=X", body: formBody, want: "first file"},
		{name: "the type in another case", contentType: "Multipart/Form-Data; boundary=X", body: formBody, want: "first file"},
		{name: "a form without boundary", contentType: "multipart/form-data", body: formBody, err: errMultipart},
		{name: "a form with an empty boundary", contentType: "multipart/form-data; boundary=", body: formBody, err: errMultipart},
		{name: "a form without a file", contentType: "multipart/form-data; boundary=X", body: "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--X--\r\n", err: errMultipart},
		{name: "a form cut within the file", contentType: "multipart/form-data; boundary=X", body: formBody[:strings.Index(formBody, "first file")+4], err: io.ErrUnexpectedEOF},
		{name: "the digest of the stored bytes", contentType: "multipart/form-data; boundary=X", body: formBody, header: http.Header{"X-Checksum-Sha1": {"6f4e0d0cd5a1f3b3d2d1b1e2a2a3cf6a4f4b9f3e"}}, err: registry.ErrDigest},
		{name: "a wrong digest of the whole form", contentType: "multipart/form-data; boundary=X", body: formBody, header: http.Header{"Content-Md5": {"AAAAAAAAAAAAAAAAAAAAAA=="}}, err: registry.ErrDigest},
		{name: "as large as allowed", body: "12345", limit: 5, want: "12345"},
		{name: "larger than allowed", body: "123456", limit: 5, err: registry.ErrTooLarge},
		{name: "a file part as large as allowed", contentType: "multipart/form-data; boundary=X", body: formBody, limit: 10, want: "first file"},
		{name: "a file part larger than allowed", contentType: "multipart/form-data; boundary=X", body: formBody, limit: 9, err: registry.ErrTooLarge},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(test.body))
				if chunked {
					r.ContentLength = -1
				}
				r.Header.Set("Content-Type", test.contentType)
				for name, values := range test.header {
					r.Header[name] = values
				}
				got, err := readContent(&Handler{MaxFileSize: test.limit}, r)
				if !errors.Is(err, test.err) {
					t.Fatalf("error is %v, want %v", err, test.err)
				}
				if err == nil && got != test.want {
					t.Errorf("content is %q, want %q", got, test.want)
				}
			})
		}
	}
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(formBody))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=X")
	r.Header.Set("X-Checksum-Sha256", storedSum)
	wanted, err := parseDigests(r.Header)
	if err != nil {
		t.Fatal(err)
	}
	content, err := new(Handler).content(r, wanted)
	if err != nil || content.SHA256 == nil || *content.SHA256 != registry.Digest(sum) {
		t.Errorf("the SHA-256 of the stored bytes is left to the registry: %v, %v", content.SHA256, err)
	}
}

func readContent(h *Handler, r *http.Request) (string, error) {
	wanted, err := parseDigests(r.Header)
	if err != nil {
		return "", err
	}
	content, err := h.content(r, wanted)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(content.Body)
	return string(text), err
}

// FuzzForm: no form panics, and what is accepted was in the body.
func FuzzForm(f *testing.F) {
	f.Add("X", formBody)
	f.Add("", formBody)
	f.Add("X", formBody[:100])
	f.Add("X", "--X\r\nContent-Disposition: form-data; filename*=utf-8''a\r\nContent-Transfer-Encoding: base64\r\n\r\nAA\r\n--X--")
	f.Fuzz(func(t *testing.T, boundary, body string) {
		content, err := new(Handler).formContent(strings.NewReader(body), boundary, digests{})
		if err != nil {
			return
		}
		stored, err := io.ReadAll(content.Body)
		if err == nil && len(stored) > len(body) {
			t.Errorf("%d bytes out of %d", len(stored), len(body))
		}
	})
}
