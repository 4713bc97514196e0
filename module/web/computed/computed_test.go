package computed

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// published is when all files of a test are published.
var published = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var testedVersion = store.VersionRef{Owner: "o", Package: "p", Version: "1/a"}

func newRegistry(t *testing.T) *registry.Registry {
	t.Helper()
	metadata, err := memory.NewMetadata().Open()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := memory.NewBlobs().Open()
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(metadata, blobs, registry.Options{ScrubRate: -1, Now: func() time.Time { return published }})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg
}

func publish(t *testing.T, reg *registry.Registry, name string, content []byte) {
	t.Helper()
	ref := store.Ref{VersionRef: testedVersion, File: name}
	if _, err := reg.Publish(t.Context(), ref, "o", registry.Content{Body: bytes.NewReader(content), Size: int64(len(content))}, registry.Limits{}); err != nil {
		t.Fatal(err)
	}
}

// contentOf is different for each size, and has no period.
func contentOf(size int) []byte {
	content := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	return content
}

// filled publishes files of sizes at which a tar pads in all its ways, and a name that needs
// an extended header.
func filled(t *testing.T) (reg *registry.Registry, files map[string][]byte) {
	t.Helper()
	reg, files = newRegistry(t), make(map[string][]byte)
	for _, size := range []int{0, 1, 511, 512, 513, 70_000} {
		name := fmt.Sprintf("%06d.bin", size)
		files[name] = contentOf(size)
		publish(t, reg, name, files[name])
	}
	long := strings.Repeat("n", 200)
	files[long] = contentOf(10)
	publish(t, reg, long, files[long])
	return reg, files
}

func ask(t *testing.T, method string, headers map[string]string, serve func(http.ResponseWriter, *http.Request) error) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	if err := serve(w, r); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return w
}

func archive(reg *registry.Registry, form Archive, verify bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return ServeArchive(w, r, reg, Version{VersionRef: testedVersion, Verify: verify}, form)
	}
}

// TestATarHasAllFiles in the order of their names, and is the same each time.
func TestATarHasAllFiles(t *testing.T) {
	reg, files := filled(t)
	for _, verify := range []bool{false, true} {
		got := ask(t, http.MethodGet, nil, archive(reg, Tar, verify))
		if length := got.Header().Get("Content-Length"); length != fmt.Sprint(got.Body.Len()) {
			t.Errorf("Content-Length is %s, of %d bytes", length, got.Body.Len())
		}
		if again := ask(t, http.MethodGet, nil, archive(reg, Tar, verify)); !bytes.Equal(again.Body.Bytes(), got.Body.Bytes()) {
			t.Error("it has other bytes the second time")
		}
		in, last, found := tar.NewReader(got.Body), "", 0
		for {
			head, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(content, files[head.Name]) {
				t.Errorf("%s: %d bytes, %v; want the %d published", head.Name, len(content), err, len(files[head.Name]))
			}
			if head.Name <= last || head.Mode != 0o644 || !head.ModTime.Equal(published) {
				t.Errorf("%s after %s, mode %o, time %v", head.Name, last, head.Mode, head.ModTime)
			}
			last, found = head.Name, found+1
		}
		if found != len(files) {
			t.Errorf("%d files, want %d", found, len(files))
		}
	}
}

// TestRangesOfATar are those of the whole, wherever they begin and end.
func TestRangesOfATar(t *testing.T) {
	reg, _ := filled(t)
	whole := ask(t, http.MethodGet, nil, archive(reg, Tar, false)).Body.Bytes()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		from := rng.IntN(len(whole))
		to := from + rng.IntN(min(len(whole)-from, 3000))
		got := ask(t, http.MethodGet, map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", from, to)}, archive(reg, Tar, i%2 == 0))
		if got.Code != http.StatusPartialContent || !bytes.Equal(got.Body.Bytes(), whole[from:to+1]) {
			t.Fatalf("bytes %d to %d: status %d, %d bytes, which are not those of the whole", from, to, got.Code, got.Body.Len())
		}
	}
	if got := ask(t, http.MethodGet, map[string]string{"Range": "bytes=0-1,5-6"}, archive(reg, Tar, false)); got.Code != http.StatusOK {
		t.Errorf("two ranges: status %d, want the whole with 200", got.Code)
	}
	head := ask(t, http.MethodHead, nil, archive(reg, Tar, false))
	if head.Header().Get("Content-Length") != fmt.Sprint(len(whole)) || head.Header().Get("ETag") == "" {
		t.Errorf("the head of %d bytes: %v", len(whole), head.Header())
	}
	if got := ask(t, http.MethodGet, map[string]string{"If-None-Match": head.Header().Get("ETag")}, archive(reg, Tar, false)); got.Code != http.StatusNotModified {
		t.Errorf("a tar that is known: status %d, want 304", got.Code)
	}
	publish(t, reg, "another", nil)
	if got := ask(t, http.MethodHead, nil, archive(reg, Tar, false)); got.Header().Get("ETag") == head.Header().Get("ETag") {
		t.Error("the entity tag stays when a file is added")
	}
}

func TestAZipHasAllFiles(t *testing.T) {
	reg, files := filled(t)
	got := ask(t, http.MethodGet, nil, archive(reg, Zip, false)).Body.Bytes()
	if again := ask(t, http.MethodGet, nil, archive(reg, Zip, true)).Body.Bytes(); !bytes.Equal(again, got) {
		t.Error("it has other bytes the second time")
	}
	in, err := zip.NewReader(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	if len(in.File) != len(files) {
		t.Errorf("%d files, want %d", len(in.File), len(files))
	}
	for _, file := range in.File {
		opened, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(opened)
		if err != nil || !bytes.Equal(content, files[file.Name]) {
			t.Errorf("%s: %d bytes, %v; want the %d published", file.Name, len(content), err, len(files[file.Name]))
		}
		if file.Mode() != 0o644 || !file.Modified.Equal(published) {
			t.Errorf("%s: mode %v, time %v", file.Name, file.Mode(), file.Modified)
		}
	}
}

// TestConditionsOfArchives: a zip has no entity tag and no date that could hold.
// Seen to fail with a zip that is sent whatever the condition.
func TestConditionsOfArchives(t *testing.T) {
	reg, _ := filled(t)
	tag := ask(t, http.MethodHead, nil, archive(reg, Tar, false)).Header().Get("ETag")
	for _, test := range []struct {
		name, value string
		tar, zip    int
	}{
		{"If-Match", `"x"`, 412, 412},
		{"If-Match", tag, 200, 412},
		{"If-Match", "*", 200, 200},
		{"If-None-Match", `"x"`, 200, 200},
		{"If-None-Match", tag, 304, 200},
		{"If-None-Match", "*", 304, 304},
		{"If-Modified-Since", "Sun, 01 Mar 2026 12:00:00 GMT", 200, 200},
		{"If-Unmodified-Since", "Sun, 01 Mar 2026 12:00:00 GMT", 200, 200},
	} {
		for form, want := range map[Archive]int{Tar: test.tar, Zip: test.zip} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
				r.Header.Set(test.name, test.value)
				w := httptest.NewRecorder()
				err := archive(reg, form, false)(w, r)
				status := w.Code
				if refused := new(visit.Refusal); errors.As(err, &refused) {
					status = refused.Status
				}
				if status != want || want == http.StatusNotModified && (w.Body.Len() > 0 || w.Header().Get("Content-Type") != "") {
					t.Errorf("%s of a %s with %s %s: %d with %d bytes, want %d", method, form, test.name, test.value, status, w.Body.Len(), want)
				}
			}
		}
	}
}

// TestSumsOfAVersion: names with white space come last.
func TestSumsOfAVersion(t *testing.T) {
	reg := newRegistry(t)
	for _, name := range []string{"b", "a b", "c", "A"} {
		publish(t, reg, name, []byte(name))
	}
	got := ask(t, http.MethodGet, nil, func(w http.ResponseWriter, r *http.Request) error {
		return ServeSums(w, r, reg, Version{VersionRef: testedVersion})
	}).Body.String()
	var want strings.Builder
	for _, name := range []string{"A", "b", "c", "a b"} {
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256([]byte(name)), name)
	}
	if got != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
}

// changing is a version of which a file is replaced by another one of the same size after the
// files were listed a number of times.
type changing struct {
	*registry.Registry
	after   int
	listed  int
	replace func()
}

func (c *changing) Files(ctx context.Context, query store.FileQuery) (store.FilePage, error) {
	if c.listed++; c.listed == c.after+1 {
		c.replace()
	}
	return c.Registry.Files(ctx, query)
}

// TestAVersionThatChangesIsNoWhole: whoever reads while a file is replaced by one of the same
// size, or a file is added, does not get the end of it.
func TestAVersionThatChangesIsNoWhole(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *registry.Registry){
		"a file is replaced": func(t *testing.T, reg *registry.Registry) {
			if err := reg.DeleteFile(t.Context(), store.Ref{VersionRef: testedVersion, File: "b"}, store.Act{User: "o"}); err != nil {
				t.Fatal(err)
			}
			publish(t, reg, "b", []byte("B"))
		},
		"a file is added": func(t *testing.T, reg *registry.Registry) { publish(t, reg, "c", nil) },
		"a file is deleted": func(t *testing.T, reg *registry.Registry) {
			if err := reg.DeleteFile(t.Context(), store.Ref{VersionRef: testedVersion, File: "b"}, store.Act{User: "o"}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg := newRegistry(t)
			publish(t, reg, "a", []byte("a"))
			publish(t, reg, "b", []byte("b"))
			files := &changing{Registry: reg, after: 2, replace: func() { change(t, reg) }}
			v, err := findVersion(t.Context(), files, Version{VersionRef: testedVersion})
			if err != nil {
				t.Fatal(err)
			}
			all := tarParts(t.Context(), v)
			want, err := all.measure()
			if err != nil {
				t.Fatal(err)
			}
			in := newReader(all, want, openerOf(t.Context(), reg, Version{}))
			defer in.Close()
			got, err := io.ReadAll(in)
			if !errors.Is(err, errChanged) || int64(len(got)) >= want.size {
				t.Errorf("%d bytes of %d, %v; want fewer, and an error", len(got), want.size, err)
			}
		})
	}
}

// replacing replaces files, once some bytes were written.
type replacing struct {
	io.Writer
	replace func()
	done    bool
}

func (r *replacing) Write(p []byte) (int, error) {
	if !r.done {
		r.done = true
		r.replace()
	}
	return r.Writer.Write(p)
}

// TestAZipOfAVersionThatChangesHasNoEnd: of files that were replaced by others of the same
// size, one was sent before, and one is listed after.
//
// Seen to fail without the comparison with what there was at the beginning.
func TestAZipOfAVersionThatChangesHasNoEnd(t *testing.T) {
	reg := newRegistry(t)
	name := func(i int) string { return fmt.Sprintf("f%03d", i) }
	for i := range pageOfFiles + 1 {
		publish(t, reg, name(i), []byte("a"))
	}
	v, err := findVersion(t.Context(), reg, Version{VersionRef: testedVersion})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	out := &replacing{Writer: &got, replace: func() {
		for _, i := range []int{0, pageOfFiles} {
			if err := reg.DeleteFile(t.Context(), store.Ref{VersionRef: testedVersion, File: name(i)}, store.Act{User: "o"}); err != nil {
				t.Fatal(err)
			}
			publish(t, reg, name(i), []byte("b"))
		}
	}}
	err = writeZip(t.Context(), out, v, openerOf(t.Context(), reg, Version{}))
	if _, ended := zip.NewReader(bytes.NewReader(got.Bytes()), int64(got.Len())); !errors.Is(err, errChanged) || ended == nil || !out.done {
		t.Errorf("a zip of %d bytes, %v, and to read it %v; want an error, and no end", got.Len(), err, ended)
	}
}

func TestFormsOfArchives(t *testing.T) {
	reg, _ := filled(t)
	for form, want := range map[Archive]int{"": 400, "TAR": 400, "tar.gz": 400, "rar": 400} {
		err := archive(reg, form, false)(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if refused := new(visit.Refusal); !errors.As(err, &refused) || refused.Status != want {
			t.Errorf("%q: %v, want %d", form, err, want)
		}
	}
	missing := testedVersion
	missing.Version = "2"
	err := ServeArchive(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), reg, Version{VersionRef: missing}, Tar)
	if !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("a version that is not there: %v", err)
	}
}
