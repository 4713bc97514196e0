package receive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const formOfTwo = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"b\"; filename=\"first\"\r\n\r\nfirst file\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"c\"; filename=\"second\"\r\n\r\nsecond file\r\n--X--\r\n"

const formOfOne = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"b\"; filename=\"first\"\r\n\r\nfirst file\r\n" +
	"--X\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\nanother field\r\n--X--\r\n"

// padding is as much as a form may not have besides its file.
var padding = strings.Repeat("p", maxFormOverhead)

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
		{name: "the file part of a form", contentType: "multipart/form-data; boundary=X", body: formOfOne, want: "first file"},
		{name: "the type in another case", contentType: "Multipart/Form-Data; boundary=X", body: formOfOne, want: "first file"},
		{name: "a form without boundary", contentType: "multipart/form-data", body: formOfOne, err: errMultipart},
		{name: "a form with an empty boundary", contentType: "multipart/form-data; boundary=", body: formOfOne, err: errMultipart},
		{name: "a form without a file", contentType: "multipart/form-data; boundary=X", body: "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--X--\r\n", err: errMultipart},
		{name: "a form cut within the file", contentType: "multipart/form-data; boundary=X", body: formOfOne[:strings.Index(formOfOne, "first file")+4], err: errFormBroken},
		{name: "a form without its last boundary", contentType: "multipart/form-data; boundary=X", body: strings.TrimSuffix(formOfOne, "--X--\r\n"), err: errFormBroken},
		{name: "a form with two files", contentType: "multipart/form-data; boundary=X", body: formOfTwo, err: errTwoFiles},
		{name: "more than enough before the parts", contentType: "multipart/form-data; boundary=X", body: strings.Repeat(padding[:1000]+"\r\n", 66) + formOfOne, err: errFormLarge},
		{name: "a part's head that is too large", contentType: "multipart/form-data; boundary=X", body: "--X\r\nA: " + padding + "\r\n" + formOfOne[len("--X\r\n"):], err: errFormLarge},
		{name: "a head after the file that is too large", contentType: "multipart/form-data; boundary=X", body: strings.Replace(formOfOne, "name=\"c\"", "name=\"c\"\r\nA: "+padding, 1), err: errFormLarge},
		{name: "a field that is too large", contentType: "multipart/form-data; boundary=X", body: strings.Replace(formOfOne, "another field", padding, 1), err: errFormLarge},
		{name: "more than enough after the last boundary", contentType: "multipart/form-data; boundary=X", body: formOfOne + padding, err: errFormLarge},
		{name: "a file larger than all that", contentType: "multipart/form-data; boundary=X", body: strings.Replace(formOfOne, "first file", padding+padding, 1), want: padding + padding},
		{name: "the digest of the stored bytes", contentType: "multipart/form-data; boundary=X", body: formOfOne, header: http.Header{"X-Checksum-Sha1": {"6f4e0d0cd5a1f3b3d2d1b1e2a2a3cf6a4f4b9f3e"}}, err: store.ErrDigest},
		{name: "a wrong digest of the whole form", contentType: "multipart/form-data; boundary=X", body: formOfOne, header: http.Header{"Content-Md5": {"AAAAAAAAAAAAAAAAAAAAAA=="}}, err: store.ErrDigest},
		{name: "as large as allowed", body: "12345", limit: 5, want: "12345"},
		{name: "larger than allowed", body: "123456", limit: 5, err: store.ErrTooLarge},
		{name: "a file part as large as allowed", contentType: "multipart/form-data; boundary=X", body: formOfOne, limit: 10, want: "first file"},
		{name: "a file part larger than allowed", contentType: "multipart/form-data; boundary=X", body: formOfOne, limit: 9, err: store.ErrTooLarge},
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
				got, err := readContent(Limits{FileSize: test.limit}, r)
				if !errors.Is(err, test.err) {
					t.Fatalf("error is %v, want %v", err, test.err)
				}
				if err == nil && got != test.want {
					t.Errorf("content is %q, want %q", got, test.want)
				}
			})
		}
	}
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(formOfOne))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=X")
	r.Header.Set("X-Checksum-Sha256", storedSum)
	wanted, err := parseDigests(r.Header)
	if err != nil {
		t.Fatal(err)
	}
	content, err := Limits{}.content(r, r.Body, wanted)
	if err != nil || content.SHA256 == nil || *content.SHA256 != store.Digest(sum) {
		t.Errorf("the SHA-256 of the stored bytes is left to the registry: %v, %v", content.SHA256, err)
	}
}

func readContent(l Limits, r *http.Request) (string, error) {
	wanted, err := parseDigests(r.Header)
	if err != nil {
		return "", err
	}
	content, err := l.content(r, r.Body, wanted)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(content.Body)
	return string(text), err
}

// FuzzForm: no form panics, and what is accepted was in the body.
func FuzzForm(f *testing.F) {
	f.Add("X", formOfOne)
	f.Add("", formOfOne)
	f.Add("X", formOfOne[:100])
	f.Add("X", "--X\r\nContent-Disposition: form-data; filename*=utf-8''a\r\nContent-Transfer-Encoding: base64\r\n\r\nAA\r\n--X--")
	f.Fuzz(func(t *testing.T, boundary, body string) {
		content, err := Limits{}.formContent(strings.NewReader(body), boundary, digests{})
		if err != nil {
			return
		}
		stored, err := io.ReadAll(content.Body)
		if err == nil && len(stored) > len(body) {
			t.Errorf("%d bytes out of %d", len(stored), len(body))
		}
	})
}

// TestABodyThatIsNotThere over HTTP/3, which says so at its end, is no file. Other requests need
// none. Seen to fail with an upload whose only request has no body.
func TestABodyThatIsNotThere(t *testing.T) {
	for whole, want := range map[bool]error{true: errNoLength, false: nil} {
		r := httptest.NewRequest(http.MethodPut, "/", http.NoBody)
		r.ProtoMajor, r.ContentLength = 3, -1
		body, done := Limits{LeastRate: RateOff}.Paced(httptest.NewRecorder(), r, whole)
		if _, err := io.ReadAll(body); !errors.Is(err, want) {
			t.Errorf("a file that comes whole: %v; error is %v, want %v", whole, err, want)
		}
		done()
	}
}
