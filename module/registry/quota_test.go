package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestQuotasOfWhatTakesAName: what is replaced makes room, the same bytes once more take
// none, and what a full quota refuses is refused before its body.
// Seen to fail, one case each: with what is replaced counted in the middle of a body, with
// equal bytes that need room, and with drafts that are counted after the body.
func TestQuotasOfWhatTakesAName(t *testing.T) {
	large, larger, largest := strings.Repeat("x", 5<<19), strings.Repeat("y", 6<<19), strings.Repeat("z", 7<<19)
	full := store.Quota{Bytes: 5 << 19, Files: 1, Versions: 1}
	lowered := store.Quota{Bytes: 1, Files: 1, Versions: 1}
	sum := store.Digest(sha256.Sum256([]byte(large)))
	for _, test := range []struct {
		name, version, content string
		limits                 Limits
		sum                    *store.Digest
		want                   error
		unread                 bool
	}{
		{"replaced by more that fits", "1", larger, Limits{OnDuplicate: store.Replace, Quota: store.Quota{Bytes: 6 << 19}}, nil, nil, false},
		{"replaced by too much", "1", largest, Limits{OnDuplicate: store.Replace, Quota: store.Quota{Bytes: 6 << 19}}, nil, store.ErrQuotaBytes, false},
		{"the same at a full quota", "1", large, Limits{OnDuplicate: store.Same, Quota: full}, nil, nil, false},
		{"replaced by the same at a full quota", "1", large, Limits{OnDuplicate: store.Replace, Quota: full}, nil, nil, false},
		{"the same, and the quota was lowered", "1", large, Limits{OnDuplicate: store.Same, Quota: lowered}, nil, nil, false},
		{"replaced by the same, of which the digest is known, and the quota was lowered", "1", large, Limits{OnDuplicate: store.Replace, Quota: lowered}, &sum, nil, false},
		{"not the same, and larger", "1", larger, Limits{OnDuplicate: store.Same, Quota: full}, nil, store.ErrExists, false},
		{"not of the digest, and larger", "1", larger, Limits{OnDuplicate: store.Replace, Quota: lowered}, &sum, store.ErrQuotaBytes, false},
		{"another draft", "draft 2", "x", Limits{Draft: true, Quota: store.Quota{Drafts: 1}}, nil, store.ErrQuotaDrafts, true},
		{"more of the draft", "draft", "x", Limits{Draft: true, Quota: store.Quota{Drafts: 1}}, nil, nil, false},
		{"a version beside so many drafts", "2", "x", Limits{Quota: store.Quota{Drafts: 1}}, nil, nil, false},
		{"another version", "2", "x", Limits{Quota: store.Quota{Versions: 2}}, nil, store.ErrQuotaVersions, true},
		{"another file", "1", "x", Limits{OnDuplicate: store.Same, Quota: store.Quota{Files: 2}}, nil, store.ErrQuotaFiles, true},
	} {
		for _, knowsSize := range []bool{true, false} {
			r, _, _ := inMemory(t, Options{Idle: true})
			mustPublish(t, r, fileRef("1", "f"), large, Limits{})
			if test.limits.Quota != full && test.limits.Quota != lowered && test.limits.Quota.Bytes == 0 {
				mustPublish(t, r, fileRef("draft", "f"), "x", Limits{Draft: true})
			}
			file := "f"
			if test.unread || test.limits.Draft {
				file = "new"
			}
			body := &readCounter{Reader: strings.NewReader(test.content)}
			content := Content{Body: body, Size: -1, SHA256: test.sum}
			if knowsSize {
				content.Size = int64(len(test.content))
			}
			_, err := r.Publish(t.Context(), fileRef(test.version, file), "u", content, test.limits)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("%s, size known %v: error is %v, want %v", test.name, knowsSize, err, test.want)
			}
			if test.unread && body.read > 0 {
				t.Errorf("%s: %d bytes were read before it was refused", test.name, body.read)
			}
			if left := r.quotas.Add("o", false, 0) + r.quotas.Add("o", true, 0); left != 0 {
				t.Errorf("%s: %d bytes count after the end", test.name, left)
			}
			mustClose(t, r)
		}
	}
}

type readCounter struct {
	io.Reader
	read int
}

func (r *readCounter) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read += n
	return n, err
}

// TestBytesOfAnUploadCountOnce, those that are saved and those that are not.
// Seen to fail with saved ones that the request counts too.
func TestBytesOfAnUploadCountOnce(t *testing.T) {
	r, _, _ := inMemory(t, Options{Idle: true})
	defer mustClose(t, r)
	content := make([]byte, saveStep+1<<20)
	limits := Limits{Quota: store.Quota{Bytes: int64(len(content))}}
	ref := fileRef("1", "f")
	begin := NewUpload{Ref: ref, Creator: "u", Length: -1, Age: time.Hour, Most: 1, UserMost: 1, Announce: func(store.Session) bool { return true }}
	request := Append{Content: Content{Body: bytes.NewReader(content), Size: -1}, Complete: true, Length: -1, Interrupt: func() {}}
	done, err := r.BeginUpload(context.Background(), begin, request, limits)
	if err != nil || done.File == nil {
		t.Fatalf("an upload of all bytes of the quota: %v", err)
	}
	if left := r.quotas.Add("o", false, 0) + r.quotas.Add("o", true, 0); left != 0 {
		t.Errorf("%d bytes count after the end", left)
	}
}

// TestTheSameBytesCountWhileTheyCome: the bytes that a file has already may come again at a full
// quota, and no more bytes are on their way than the quota has.
// Seen to fail when such bytes do not count, when they are compared with the quota only before
// the body, and when no more of them may come than the quota has left.
func TestTheSameBytesCountWhileTheyCome(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 3<<20)
	size, sum, ref := int64(len(content)), store.Digest(sha256.Sum256(content)), fileRef("1", "f")
	for _, kind := range []struct {
		name        string
		onDuplicate store.OnDuplicate
		sum         *store.Digest
	}{{"same", store.Same, nil}, {"replace, of which the digest is known", store.Replace, &sum}} {
		t.Run(kind.name, func(t *testing.T) {
			r, _, _ := inMemory(t, Options{Idle: true})
			defer mustClose(t, r)
			mustPublish(t, r, ref, string(content), Limits{})
			limits := Limits{OnDuplicate: kind.onDuplicate, Quota: store.Quota{Bytes: size}}
			begin := func(part []byte) (Upload, error) {
				return r.BeginUpload(t.Context(), NewUpload{Ref: ref, Creator: "u", Length: size, SHA256: kind.sum, Age: time.Hour, Most: 9, UserMost: 9, Announce: func(store.Session) bool { return true }},
					Append{Content: Content{Body: bytes.NewReader(part), Size: int64(len(part))}, Length: -1, Interrupt: func() {}}, limits)
			}
			appendTo := func(upload Upload, part []byte) error {
				_, err := r.AppendUpload(t.Context(), ref, upload.ID, "u", Append{
					Content: Content{Body: bytes.NewReader(part), Size: int64(len(part))}, Offset: upload.Offset, Complete: true, Length: -1, Interrupt: func() {},
				}, limits)
				return err
			}
			put := func(body io.Reader) error {
				_, err := r.Publish(t.Context(), ref, "u", Content{Body: body, Size: size, SHA256: kind.sum}, limits)
				return err
			}
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, store.ErrQuotaBytes) {
					t.Errorf("%s: error is %v, want %v", what, err, store.ErrQuotaBytes)
				}
			}
			announced, err := begin(nil)
			if err != nil {
				t.Fatalf("the first upload: %v", err)
			}
			kept, err := begin(content[:size-1])
			if err != nil || kept.Offset != size-1 {
				t.Fatalf("the second upload, while the first has no bytes: %d bytes, %v; want %d", kept.Offset, err, size-1)
			}
			_, err = begin(nil)
			refused("a third upload", err)
			refused("going on with the first upload", appendTo(announced, content))
			refused("a PUT", put(bytes.NewReader(content)))
			if err := appendTo(kept, content[size-1:]); err != nil {
				t.Errorf("the last byte of the second upload: %v", err)
			}
			inTheMiddle := func(do func()) io.Reader {
				hook := readerFunc(func([]byte) (int, error) { do(); return 0, io.EOF })
				return io.MultiReader(bytes.NewReader(content[:size/2]), hook, bytes.NewReader(content[size/2:]))
			}
			if err := put(inTheMiddle(func() { refused("a PUT in the middle of another one", put(bytes.NewReader(content))) })); err != nil {
				t.Errorf("a PUT while nothing else comes: %v", err)
			}
			refused("a PUT, once another upload has as much", put(inTheMiddle(func() { r.quotas.Add("o", true, size) })))
			if left := r.quotas.Add("o", true, -size); left != 0 {
				t.Errorf("%d bytes count after the end", left)
			}
			mustPublish(t, r, fileRef("1", "g"), string(content), Limits{})
			limits.Quota.Bytes = 2 * size
			if outer := put(inTheMiddle(func() { err = put(bytes.NewReader(content)) })); outer != nil || err != nil {
				t.Errorf("two PUTs at once, at a quota that is used up by two files: %v, %v", outer, err)
			}
		})
	}
}

// TestBytesThatComeAgainLeaveRoomForOthers: bytes that a file has already take no room in the end,
// so that uploads which fit are not refused for them, also after a restart. Once the file is
// deleted, they take room as others do.
// Seen to fail when both kinds count as one, when a session does not say of which kind its bytes
// are, and when bytes stay of the kind that they were before the body.
func TestBytesThatComeAgainLeaveRoomForOthers(t *testing.T) {
	content := bytes.Repeat([]byte("x"), 3<<20)
	size, ref := int64(len(content)), fileRef("1", "f")
	limits := Limits{OnDuplicate: store.Same, Quota: store.Quota{Bytes: 2 * size}}
	r, names, blobs := inMemory(t, Options{Idle: true})
	defer func() { mustClose(t, r) }()
	mustPublish(t, r, ref, string(content), Limits{})
	put := func(ref store.Ref, body io.Reader) error {
		_, err := r.Publish(t.Context(), ref, "u", Content{Body: body, Size: size}, limits)
		return err
	}
	inTheMiddle := func(do func()) io.Reader {
		hook := readerFunc(func([]byte) (int, error) { do(); return 0, io.EOF })
		return io.MultiReader(bytes.NewReader(content[:size/2]), hook, bytes.NewReader(content[size/2:]))
	}
	for again := range 2 {
		upload, err := r.BeginUpload(t.Context(), NewUpload{Ref: ref, Creator: "u", Length: size, Age: time.Hour, Most: 9, UserMost: 9, Announce: func(store.Session) bool { return true }},
			Append{Content: Content{Body: bytes.NewReader(content[:size-1]), Size: size - 1}, Length: -1, Interrupt: func() {}}, limits)
		if err != nil || upload.Offset != size-1 {
			t.Fatalf("an upload of a file that is there: %d bytes, %v", upload.Offset, err)
		}
		if again > 0 {
			mustClose(t, r)
			r = over(t, names, blobs, Options{Idle: true})
		}
		if err := put(fileRef("1", "g"), bytes.NewReader(content)); err != nil {
			t.Errorf("another file that fits: %v", err)
		}
		for _, act := range []error{r.DeleteFile(t.Context(), fileRef("1", "g"), store.Act{User: "u"}), r.CancelUpload(t.Context(), ref, upload.ID, "u")} {
			if act != nil {
				t.Fatal(act)
			}
		}
	}
	if err := put(fileRef("1", "g"), inTheMiddle(func() {
		if err := put(ref, bytes.NewReader(content)); err != nil {
			t.Errorf("the same bytes while another file comes: %v", err)
		}
	})); err != nil {
		t.Errorf("another file that fits, while the same bytes came: %v", err)
	}
	err := put(ref, inTheMiddle(func() {
		if err := r.DeleteFile(t.Context(), ref, store.Act{User: "u"}); err != nil {
			t.Fatal(err)
		}
		r.quotas.Add("o", false, size)
	}))
	if !errors.Is(err, store.ErrQuotaBytes) {
		t.Errorf("the same bytes, of a file that somebody deleted: error is %v, want %v", err, store.ErrQuotaBytes)
	}
	for _, again := range []bool{false, true} {
		if left := r.quotas.Add("o", again, 0); left != 0 && (again || left != size) {
			t.Errorf("%d bytes count after the end", left)
		}
	}
}
