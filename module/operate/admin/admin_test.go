package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/pool/pooltest"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// adminTest is an open registry behind the handlers of the admin endpoint.
type adminTest struct {
	testing.TB
	server *httptest.Server
	key    pool.Key
}

func newAdminTest(t *testing.T) *adminTest {
	key := pooltest.Start(t, t.Name(), memory.NewBackend())
	mux := http.NewServeMux()
	for _, route := range (API{}).Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			var refused caddy.APIError
			if errors.As(err, &refused) {
				http.Error(w, refused.Err.Error(), refused.HTTPStatus)
			} else if err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &adminTest{t, server, key}
}

func (a *adminTest) publish(name, content string) store.File {
	a.Helper()
	return pooltest.Publish(a, a.key, name, content)
}

// ask returns the status, and the answer as far as it came.
func (a *adminTest) ask(method, path string, query url.Values) (status int, header http.Header, body []byte, err error) {
	a.Helper()
	request, err := http.NewRequestWithContext(a.Context(), method, a.server.URL+Path+path+"?"+query.Encode(), nil)
	if err != nil {
		a.Fatal(err)
	}
	response, err := a.server.Client().Do(request)
	if err != nil {
		a.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, err
}

// readAll reads a stream to its end, which it must have.
func readAll(stream []byte) (*backup.Reader, error) {
	reader, err := backup.NewReader(bytes.NewReader(stream))
	if err != nil {
		return nil, err
	}
	return reader, reader.ReadThrough(func(int64) {})
}

func TestAdminStreamsABackup(t *testing.T) {
	a := newAdminTest(t)
	a.publish("small", "small")
	a.publish("large", strings.Repeat("large", 500_000))
	status, header, body, err := a.ask(http.MethodGet, BackupPath, nil)
	if err != nil || status != http.StatusOK || header.Get("Content-Type") != BackupType || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("answer is %d, %v, %v", status, header, err)
	}
	full, err := readAll(body)
	if err != nil || full.End().Blobs != 2 {
		t.Fatalf("backup: %v", err)
	}
	a.publish("next", "next")
	at := full.Head().Position
	since := url.Values{ParameterSince: {"2"}, ParameterChain: {at.Chain.String()}, "root": {t.Name()}}
	if status, _, body, err = a.ask(http.MethodGet, BackupPath, since); err != nil || status != http.StatusOK {
		t.Fatalf("increment: %d, %v", status, err)
	}
	increment, err := readAll(body)
	if err != nil || increment.Head().Since != at || increment.End().Lines != 1 || increment.End().Blobs != 1 {
		t.Errorf("increment: %v", err)
	}
}

func TestAdminRefusesBackupsBeforeTheyBegin(t *testing.T) {
	a := newAdminTest(t)
	a.publish("f", "f")
	for name, test := range map[string]struct {
		method string
		query  url.Values
		want   int
	}{
		"another method":      {http.MethodPost, nil, http.StatusMethodNotAllowed},
		"another root":        {http.MethodGet, url.Values{"root": {"/none"}}, http.StatusNotFound},
		"no number":           {http.MethodGet, url.Values{ParameterSince: {"x"}}, http.StatusBadRequest},
		"no digest":           {http.MethodGet, url.Values{ParameterChain: {"x"}}, http.StatusBadRequest},
		"no truth":            {http.MethodGet, url.Values{ParameterSkipDamaged: {"x"}}, http.StatusBadRequest},
		"beyond the last":     {http.MethodGet, url.Values{ParameterSince: {"2"}}, http.StatusConflict},
		"another last change": {http.MethodGet, url.Values{ParameterSince: {"1"}}, http.StatusConflict},
	} {
		status, header, body, err := a.ask(test.method, BackupPath, test.query)
		if err != nil || status != test.want || strings.Contains(header.Get("Content-Type"), "tar") {
			t.Errorf("%s: %d, %v, want %d: %s", name, status, err, test.want, body)
		}
	}
}

// TestARegistryThatIsNotOpenIsUnavailable, so that a command asks again. Seen
// to fail where the refusal had no code.
func TestARegistryThatIsNotOpenIsUnavailable(t *testing.T) {
	a := newAdminTest(t)
	faulty := memory.NewBackend()
	faulty.Fail(store.ErrNoSpace)
	pooltest.Start(t, "/srv/full", faulty)
	query := url.Values{"root": {"/srv/full"}, ParameterDigest: {store.Digest{}.String()}}
	status, _, body, err := a.ask(http.MethodGet, BlobPath, query)
	var refused Refused
	if err == nil {
		err = json.Unmarshal(body, &refused)
	}
	if err != nil || status != http.StatusServiceUnavailable || refused.Code != CodeUnavailable {
		t.Errorf("got %d, %s (%v), want 503 with the code %s", status, body, err, CodeUnavailable)
	}
}

// unreadable are blobs of which no byte can be read.
type unreadable struct{ *memory.Backend }

func (u unreadable) OpenBlobs(ctx context.Context, root string, log *slog.Logger) (store.BlobStore, error) {
	blobs, err := u.Backend.OpenBlobs(ctx, root, log)
	return unreadableStore{blobs}, err
}

type unreadableStore struct{ store.BlobStore }

func (u unreadableStore) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	content, err := u.BlobStore.Open(ctx, locator, size)
	return unreadableContent{content}, err
}

type unreadableContent struct{ io.ReadSeekCloser }

func (unreadableContent) Read([]byte) (int, error) { return 0, syscall.EIO }

// TestAdminSaysWhyABlobCannotBeRead: the copy that asks lists it and goes on. Seen to fail with an
// answer that is cut, and with one that keeps the length of the blob.
func TestAdminSaysWhyABlobCannotBeRead(t *testing.T) {
	a := newAdminTest(t)
	backend := memory.NewBackend()
	config := &pool.Config{Root: "/srv/unreadable", Metadata: backend, Blobs: unreadable{backend}, ScrubRate: -1, Log: zap.NewNop(), StoreLog: slog.New(slog.DiscardHandler)}
	lease, err := pool.Registries.Take(config)
	if err == nil {
		t.Cleanup(lease.Return)
		err = lease.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	file := pooltest.Publish(t, config.Key(), "f", strings.Repeat("x", 1000))
	status, _, body, err := a.ask(http.MethodGet, BlobPath, url.Values{"root": {config.Root}, ParameterDigest: {file.Digest.String()}})
	var refused Refused
	if err == nil {
		err = json.Unmarshal(body, &refused)
	}
	if err != nil || status != http.StatusInternalServerError || refused.Code != CodeDamaged {
		t.Errorf("got %d, %s (%v), want 500 with the code %s", status, body, err, CodeDamaged)
	}
}

// TestAdminCutsAFailedBackup: with what it had to say before.
func TestAdminCutsAFailedBackup(t *testing.T) {
	a := newAdminTest(t)
	a.publish("sound", strings.Repeat("sound", 500_000))
	file := a.publish("damaged", "damaged")
	pooltest.Lose(t, a.key, file)
	status, _, body, err := a.ask(http.MethodGet, BackupPath, nil)
	if status != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("answer is %d, %v", status, err)
	}
	if _, err := readAll(body); !errors.Is(err, store.ErrIncomplete) || !strings.Contains(err.Error(), file.Digest.String()) {
		t.Errorf("reading it: %v", err)
	}
	_, _, body, err = a.ask(http.MethodGet, BackupPath, url.Values{ParameterSkipDamaged: {"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if reader, err := readAll(body); err != nil || len(reader.Damaged()) != 1 {
		t.Errorf("going on: %v", err)
	}
}

func TestAdminVerifies(t *testing.T) {
	a := newAdminTest(t)
	a.publish("sound", "sound")
	verify := func() VerifyLine {
		t.Helper()
		status, header, body, err := a.ask(http.MethodPost, VerifyPath, url.Values{ParameterRate: {"100000000"}})
		if err != nil || status != http.StatusOK || header.Get("Content-Type") != VerifyType {
			t.Fatalf("answer is %d, %v, %v", status, header, err)
		}
		lines := bytes.Split(bytes.TrimSpace(body), []byte("\n"))
		var last VerifyLine
		if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || last.Report == nil {
			t.Fatalf("last line is %s: %v", lines[len(lines)-1], err)
		}
		return last
	}
	if good := verify(); !good.Report.IsSound() || good.Report.Blobs != 1 || good.Report.Finished.IsZero() || good.Error != "" {
		t.Errorf("report is %+v", good.Report)
	}
	file := a.publish("damaged", "damaged")
	pooltest.Lose(t, a.key, file)
	if bad := verify(); bad.Report.IsSound() || bad.Report.Damaged != 1 || bad.Report.Damage[0].SHA256 != file.Digest.String() || bad.Report.Damage[0].Kind != string(store.DamageMissing) {
		t.Errorf("report is %+v", bad.Report)
	}
	for name, test := range map[string]struct {
		method string
		query  url.Values
		want   int
	}{
		"another method":  {http.MethodGet, nil, http.StatusMethodNotAllowed},
		"another root":    {http.MethodPost, url.Values{"root": {"/none"}}, http.StatusNotFound},
		"no rate":         {http.MethodPost, url.Values{ParameterRate: {"x"}}, http.StatusBadRequest},
		"a negative rate": {http.MethodPost, url.Values{ParameterRate: {"-1"}}, http.StatusBadRequest},
		"no share":        {http.MethodPost, url.Values{ParameterSample: {"NaN"}}, http.StatusBadRequest},
		"a share of all":  {http.MethodPost, url.Values{ParameterSample: {"1"}}, http.StatusBadRequest},
		"a share of none": {http.MethodPost, url.Values{ParameterSample: {"0"}}, http.StatusBadRequest},
	} {
		if status, _, body, err := a.ask(test.method, VerifyPath, test.query); err != nil || status != test.want {
			t.Errorf("%s: %d, %v, want %d: %s", name, status, err, test.want, body)
		}
	}
}

// deadlineWriter remembers the deadlines that were set.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	read   []time.Time
	writes []time.Time
}

func (w *deadlineWriter) SetReadDeadline(at time.Time) error { w.read = append(w.read, at); return nil }

func (w *deadlineWriter) SetWriteDeadline(at time.Time) error {
	w.writes = append(w.writes, at)
	return nil
}

// TestAStreamMayTakeHours: the admin server's deadline, of 10 seconds for all of a
// request, is taken away, and each write has one of its own.
func TestAStreamMayTakeHours(t *testing.T) {
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	out := newStream(w, BackupType)
	if len(w.read) != 1 || !w.read[0].IsZero() {
		t.Errorf("read deadlines are %v", w.read)
	}
	for range 2 {
		if _, err := out.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.writes) != 2 || w.writes[1].Before(w.writes[0]) || time.Until(w.writes[1]) < streamStall/2 {
		t.Errorf("write deadlines are %v", w.writes)
	}
}
