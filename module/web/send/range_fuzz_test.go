package send

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// rangeSizes are those of the files that ranges are asked of.
var rangeSizes = [...]int{0, 1, 10, 1000}

// rangeContent differs at every place, as far as 64 KiB.
func rangeContent(size int) []byte {
	content := make([]byte, 0, size+1)
	for i := 0; len(content) < size; i++ {
		content = append(content, byte(i>>8), byte(i))
	}
	return content[:size]
}

// rangeRegistry is a registry in memory with a file of each size.
func rangeRegistry(f *testing.F) *registry.Registry {
	metadata, err := memory.NewMetadata().Open()
	if err != nil {
		f.Fatal(err)
	}
	blobs, err := memory.NewBlobs().Open()
	if err != nil {
		f.Fatal(err)
	}
	reg := registry.New(metadata, blobs, registry.Options{})
	f.Cleanup(func() {
		if err := reg.Close(); err != nil {
			f.Error(err)
		}
	})
	for _, size := range rangeSizes {
		content := registry.Content{Body: bytes.NewReader(rangeContent(size)), Size: int64(size)}
		if _, err := reg.Publish(f.Context(), refOf("o", "p", "1", strconv.Itoa(size)), "o", content, registry.Limits{}); err != nil {
			f.Fatal(err)
		}
	}
	return reg
}

// FuzzRange: whatever ranges are asked for, an answer has bytes of the file only,
// each where its Content-Range says (RFC 9110 section 14).
func FuzzRange(f *testing.F) {
	reg := rangeRegistry(f)
	for _, ranges := range []string{
		"", "bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-4", "bytes=2-5", "bytes=0-9,500-599,-1", "bytes=0-0,0-0,0-0",
		"bytes=999-", "bytes=1000-", "bytes=-1000", "bytes=-1001", "bytes=0-999,0-999", "bytes=0-18446744073709551616", "bytes=-9223372036854775808",
		"bytes=9223372036854775807-", "bytes=0-9223372036854775807", "bytes=,,1-1, ,3-3", "bytes= 1 - 2 ", "bytes=1-2;3-4", "lines=1-2", "Bytes=0-1", "bytes",
		"bytes=-0,-0,-0", "bytes=1-1,2000-3000", "bytes=2000-,3000-", "bytes=+1-+2", "bytes=0x1-2", "bytes=--1",
	} {
		for size := range byte(len(rangeSizes)) {
			f.Add(ranges, "", size, false)
		}
		f.Add(ranges, `"other"`, byte(3), false)
		f.Add(ranges, EntityTag(sha256.Sum256(rangeContent(1000))), byte(3), false)
		f.Add(ranges, "", byte(3), true)
	}
	f.Fuzz(func(t *testing.T, ranges, ifRange string, which byte, head bool) {
		content := rangeContent(rangeSizes[int(which)%len(rangeSizes)])
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if head {
			r.Method = http.MethodHead
		}
		r.Header.Set("Range", ranges)
		if ifRange != "" {
			r.Header.Set("If-Range", ifRange)
		}
		for _, verify := range []bool{false, true} {
			w, cut, err := get(reg, r, len(content), verify)
			if cut || err != nil {
				t.Fatal(cut, err)
			}
			checkRangeAnswer(t, w, content, head, strings.Count(ranges, ",")+1)
			tag := EntityTag(sha256.Sum256(content))
			isChanged := strings.HasPrefix(ifRange, `"`) && !strings.HasPrefix(ifRange, tag)
			if isChanged && w.Code != http.StatusOK {
				t.Errorf("a part of another file than If-Range names: %d", w.Code)
			}
			if want := singleRange(ranges, len(content)); want != "" && (ifRange == "" || ifRange == tag) && w.Header().Get("Content-Range") != want {
				t.Errorf("Content-Range is %q, want %q", w.Header().Get("Content-Range"), want)
			}
		}
	})
}

// singleRange returns the Content-Range that a plain first-last range gets, empty
// when it is not one or the file does not reach it.
func singleRange(ranges string, size int) string {
	var first, last int
	n, err := fmt.Sscanf(ranges, "bytes=%d-%d", &first, &last)
	if n != 2 || err != nil || fmt.Sprintf("bytes=%d-%d", first, last) != ranges || first < 0 || first > last || first >= size {
		return ""
	}
	return fmt.Sprintf("bytes %d-%d/%d", first, min(last, size-1), size)
}

func checkRangeAnswer(t *testing.T, w *httptest.ResponseRecorder, content []byte, head bool, asked int) {
	t.Helper()
	header, body := w.Result().Header, w.Body.Bytes()
	if w.Code == http.StatusRequestedRangeNotSatisfiable {
		// Ranges that cannot be read get no Content-Range.
		if got, want := header.Get("Content-Range"), fmt.Sprintf("bytes */%d", len(content)); got != "" && got != want || len(body) > 100 {
			t.Errorf("416 with Content-Range %q and %d bytes, want %q", got, len(body), want)
		}
		return
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || length > len(content)+200*(asked+1) {
		t.Errorf("Content-Length %d for %d ranges of %d bytes: %v", length, asked, len(content), err)
	}
	if head && len(body) > 0 || !head && len(body) != length {
		t.Errorf("Content-Length %d, and %d bytes", length, len(body))
	}
	contentRange := header.Get("Content-Range")
	switch w.Code {
	case http.StatusOK:
		if contentRange != "" || !head && !bytes.Equal(body, content) {
			t.Errorf("200 with Content-Range %q and %d bytes of %d", contentRange, len(body), len(content))
		}
	case http.StatusPartialContent:
		mediaType, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
		switch {
		case err != nil:
			t.Error(err)
		case mediaType == "multipart/byteranges" && !head:
			checkParts(t, multipart.NewReader(bytes.NewReader(body), parameters["boundary"]), content, asked)
		case mediaType != "multipart/byteranges":
			checkRange(t, contentRange, body, content, head)
		}
	default:
		t.Errorf("status %d", w.Code)
	}
}

// checkParts checks the parts of an answer to several ranges, which have together
// no more than the file.
func checkParts(t *testing.T, parts *multipart.Reader, content []byte, asked int) {
	t.Helper()
	total, count := 0, 0
	for ; ; count++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		checkRange(t, part.Header.Get("Content-Range"), body, content, false)
		total += len(body)
	}
	if total > len(content) || count < 2 || count > asked {
		t.Errorf("%d parts of %d asked for, %d bytes of %d", count, asked, total, len(content))
	}
}

// checkRange checks bytes against the Content-Range that says where they are from.
func checkRange(t *testing.T, contentRange string, body, content []byte, head bool) {
	t.Helper()
	var first, last, size int
	n, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size)
	if n != 3 || err != nil || fmt.Sprintf("bytes %d-%d/%d", first, last, size) != contentRange || size != len(content) {
		t.Fatalf("Content-Range is %q for %d bytes: %v", contentRange, len(content), err)
	}
	if first < 0 || last >= size || last < first {
		t.Fatalf("Content-Range is %q for %d bytes", contentRange, len(content))
	}
	if !head && !bytes.Equal(body, content[first:last+1]) {
		t.Errorf("the bytes are not those at %q", contentRange)
	}
}
