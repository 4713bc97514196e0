//go:build servers

package s3

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// sent is more than a part.
var sent = make([]byte, bucket.SmallestPart+1_000_000)

func smallParts(b *Backend) { b.PartSize = bucket.SmallestPart }

// TestUploadsThatNobodyEndsAreCleaned: parts of a writer that was killed, those of a copy for
// the quarantine, and last bytes without a session go when they are old; those of a session stay.
// Seen to fail without the look at the sessions, and without the folder of the quarantine.
func TestUploadsThatNobodyEndsAreCleaned(t *testing.T) {
	server := servers.StartS3(t)
	s := openAt(t, backendAt(t, server.Endpoint(), smallParts))
	ctx := t.Context()
	killed, err := s.Create(ctx, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := killed.Write(sent); err != nil {
		t.Fatal(err)
	}
	session := begin(t, s)
	session = proceed(t, s, session, sent)
	session = proceed(t, s, session, []byte("tail"))
	quarantined := s.bucket.Gather(s.under(quarantineFolder+string(store.NewLocator(1))), bucket.Sent{})
	if err := errors.Join(quarantined.Append(sent), quarantined.Append(sent)); err != nil {
		t.Fatal(err)
	}
	quarantined.Release()
	if err := s.bucket.Put(ctx, s.under(uploadsFolder+string(store.NewSessionID()), "tail"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		before  time.Time
		dropped int
	}{{time.Now().Add(-time.Hour), 0}, {time.Now().Add(time.Hour), 3}, {time.Now().Add(time.Hour), 0}} {
		dropped, err := s.Clean(ctx, want.before)
		if err != nil || dropped != want.dropped {
			t.Fatalf("cleaning before %v: %d, %v; want %d", want.before, dropped, err, want.dropped)
		}
	}
	finish(t, s, session)
	if size, err := s.Stat(ctx, session.Locator); err != nil || size != session.Offset {
		t.Errorf("the upload became %d bytes, %v; want %d", size, err, session.Offset)
	}
	if err := s.EndSession(ctx, session.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := s.bucket.Incomplete(ctx, s.prefix, time.Now().Add(time.Hour)); err != nil || len(left) != 0 {
		t.Errorf("%d incomplete uploads are left, %v", len(left), err)
	}
	_ = killed.Abort() // its parts are gone; what it says does not matter
}

// TestUploadsThatLostTheirParts: a lifecycle rule may drop them. The upload is damaged, and
// never a file of other bytes.
func TestUploadsThatLostTheirParts(t *testing.T) {
	server := servers.StartS3(t)
	s := openAt(t, backendAt(t, server.Endpoint(), smallParts))
	for what, lose := range map[string]func(u upload, key string) error{
		"the parts": func(u upload, key string) error {
			return s.bucket.Drop(t.Context(), bucket.Multipart{Key: key, Upload: u.Upload})
		},
		"the tail": func(u upload, _ string) error {
			return s.bucket.Remove(t.Context(), s.under(uploadsFolder+string(u.ID), u.Tail))
		},
	} {
		session := proceed(t, s, proceed(t, s, begin(t, s), sent), []byte("tail"))
		u, err := s.findUpload(t.Context(), session.ID)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := s.place(session.Locator)
		if err := lose(u, key); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ContinueSession(t.Context(), session); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("without %s: error is %v, want %v", what, err, store.ErrDamaged)
		}
		if err := s.EndSession(t.Context(), session.ID); err != nil {
			t.Errorf("ending it: %v", err)
		}
	}
}

// TestUploadsOfAnotherSize are refused, and leave nothing: S3 itself would take as many bytes
// as were announced.
func TestUploadsOfAnotherSize(t *testing.T) {
	server := servers.StartS3(t)
	s := openAt(t, backendAt(t, server.Endpoint(), nil))
	for _, size := range []int64{10, 1 << 20} {
		for _, came := range []int64{0, size - 1, size + 1} {
			if err := write(t.Context(), s, make([]byte, came), size); err == nil {
				t.Errorf("%d bytes are a blob of %d", came, size)
			}
		}
	}
	for key := range server.Objects(t) {
		if key != "registry/"+formatObject {
			t.Errorf("%s is left", key)
		}
	}
}

// TestUploadsToAServerThatIsFrozen end within the timeout, in every phase, and are tried again
// with success when the server goes on.
func TestUploadsToAServerThatIsFrozen(t *testing.T) {
	server := servers.StartS3(t)
	s := openAt(t, backendAt(t, server.Endpoint(), func(b *Backend) { smallParts(b); b.Timeout = caddy.Duration(5 * time.Second) }))
	session := proceed(t, s, begin(t, s), sent)
	locator := func() store.Locator {
		w, err := s.Create(t.Context(), 9)
		if err == nil {
			_, err = w.Write([]byte("nine byte"))
		}
		if err != nil {
			t.Fatal(err)
		}
		locator, err := w.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return locator
	}()
	calls := map[string]func() error{
		"a small blob":           func() error { return write(t.Context(), s, []byte("small"), 5) },
		"a blob that streams":    func() error { return write(t.Context(), s, sent, int64(len(sent))) },
		"a blob of unknown size": func() error { return write(t.Context(), s, sent, -1) },
		"an upload that goes on": func() error { _, err := s.ContinueSession(t.Context(), session); return err },
		"an upload that begins": func() error {
			_, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
			return err
		},
		"reading":                 func() error { _, err := s.Open(t.Context(), locator, 9); return err },
		"walking":                 func() error { return s.Walk(t.Context(), func(store.Locator, int64, time.Time) error { return nil }) },
		"binding":                 func() error { return s.Bind(t.Context(), "one") },
		"deleting what is absent": func() error { return s.Delete(t.Context(), store.NewLocator(1)) },
	}
	all := func() map[string]error {
		var mu sync.Mutex
		var done sync.WaitGroup
		errs := make(map[string]error)
		for what, call := range calls {
			done.Go(func() {
				err := call()
				mu.Lock()
				defer mu.Unlock()
				errs[what] = err
			})
		}
		done.Wait()
		return errs
	}
	server.Freeze(t)
	for what, err := range all() {
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBlobNotFound) || errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: error is %v, want %v", what, err, store.ErrUnavailable)
		}
	}
	if s.Condition().Fault == nil {
		t.Error("the condition says nothing")
	}
	server.Thaw(t)
	for what, err := range all() {
		if err != nil {
			t.Errorf("%s, when the server goes on: %v", what, err)
		}
	}
	reader, err := s.Open(t.Context(), locator, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if text, err := io.ReadAll(reader); err != nil || string(text) != "nine byte" {
		t.Errorf("read %q, %v", text, err)
	}
}

func begin(t *testing.T, s *Store) store.Session {
	t.Helper()
	session, err := s.BeginSession(t.Context(), store.Session{ID: store.NewSessionID(), Length: -1})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func proceed(t *testing.T, s *Store, session store.Session, content []byte) store.Session {
	t.Helper()
	w, err := s.ContinueSession(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	session.Offset += int64(len(content))
	if err := w.Save(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	return session
}

func finish(t *testing.T, s *Store, session store.Session) {
	t.Helper()
	w, err := s.ContinueSession(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestABlobIsWrittenOnce: who is overtaken makes a blob of an upload, and the other one goes on.
// What that one has is no blob, however many bytes it is, and the first one's bytes stay.
// Seen to fail with a PUT, and with a multipart upload, that take the place of an object.
func TestABlobIsWrittenOnce(t *testing.T) {
	s := openAt(t, backendAt(t, servers.StartS3(t).Endpoint(), smallParts))
	ctx := t.Context()
	for what, more := range map[string][]byte{"a PUT": []byte(" and more"), "a multipart upload": sent} {
		former := proceed(t, s, begin(t, s), []byte("first"))
		latter, err := s.TakeSession(ctx, former.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.ContinueSession(ctx, latter)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, s, former)
		if _, err := w.Write(more); err != nil {
			t.Fatal(err)
		}
		latter.Offset += int64(len(more))
		if err := w.Save(ctx, latter); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(ctx); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: error is %v, want %v", what, err, store.ErrDamaged)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if size, err := s.Stat(ctx, former.Locator); err != nil || size != former.Offset {
			t.Errorf("%s: the blob has %d bytes, %v; want %d", what, size, err, former.Offset)
		}
	}
}

// TestPartsOfWhoWasOvertaken: what another writer still sends takes no part's place. Seen to
// fail with numbers that follow each other.
func TestPartsOfWhoWasOvertaken(t *testing.T) {
	s := openAt(t, backendAt(t, servers.StartS3(t).Endpoint(), smallParts))
	ctx := t.Context()
	former, err := s.BeginSession(ctx, store.Session{ID: store.NewSessionID(), Length: -1, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	save := func(session store.Session, fill byte) store.Session {
		t.Helper()
		w, err := s.ContinueSession(ctx, session)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if _, err := w.Write(bytes.Repeat([]byte{fill}, bucket.SmallestPart)); err != nil {
			t.Fatal(err)
		}
		session.Offset += bucket.SmallestPart
		if err := w.Save(ctx, session); err != nil {
			t.Fatal(err)
		}
		return session
	}
	former = save(former, 'a')
	latter, err := s.TakeSession(ctx, former.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	latter = save(latter, 'b')
	save(former, 'x')
	w, err := s.ContinueSession(ctx, latter)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit(ctx), w.Close()); err != nil {
		t.Fatal(err)
	}
	reader, err := s.Open(ctx, latter.Locator, latter.Offset)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	got, err := io.ReadAll(reader)
	if err != nil || len(got) != 2*bucket.SmallestPart || got[bucket.SmallestPart] != 'b' {
		t.Errorf("the blob has %d bytes, %v, of which the second half is not that of the latter", len(got), err)
	}
}
