package command

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/admin"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup/moving"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestACopyTellsWhatTheTargetLacks, and so does the target's metadata before anybody reads.
// Seen to fail where the last line only said that both are equal, and where the metadata learned
// of the damage when somebody read.
func TestACopyTellsWhatTheTargetLacks(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 6)
	flipBit(t, largestBlob(t, filepath.Join(c.root, "blobs")))
	delete(c.published, fileRef("f5"))
	out := c.mustRun("copy", "--from-root", c.root, "--to-root", c.path("made"), "--skip-damaged")
	if !strings.Contains(out, "source and target are equal, but 1 blob is damaged in the source and missing in the target") {
		t.Errorf("it prints %q", out)
	}
	c.with(c.path("made"), func(reg *registry.Registry) error {
		damaged, _, err := reg.Metadata().Damaged(t.Context(), 1)
		if damaged != 1 {
			t.Errorf("the target knows %d damaged blobs, want 1", damaged)
		}
		return err
	})
	c.want(c.path("made"))
}

// TestACopyGoesOnWhenTheSourceWasAway for a moment: its store did not answer, and then the
// content was cut. Seen to fail where the code of the refusal was no store.ErrUnavailable, and
// where the cut was none.
func TestACopyGoesOnWhenTheSourceWasAway(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 6)
	c.with(c.root, func(reg *registry.Registry) error {
		var asked atomic.Int64
		server := newCopySource(t, reg, func(w http.ResponseWriter, content []byte) {
			switch asked.Add(1) {
			case 1:
				w.Header().Set("Content-Type", admin.JSONType)
				w.WriteHeader(http.StatusServiceUnavailable)
				_ = json.NewEncoder(w).Encode(admin.Refused{Text: store.ErrUnavailable.Error(), Code: admin.CodeUnavailable})
			case 2:
				w.Header().Set("Content-Length", strconv.Itoa(len(content)))
				_, _ = w.Write(content[:len(content)/2])
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			default:
				_, _ = w.Write(content)
			}
		})
		out := c.mustRun("copy", "--from-root", c.root, "--to-root", c.path("made"), "--address", server)
		if !strings.Contains(out, "the target has all bytes as of change 6") || asked.Load() != 8 {
			t.Errorf("after %d requests for 6 blobs it prints %q", asked.Load(), out)
		}
		return nil
	})
	c.mustRun("copy", "--from-root", c.root, "--to-root", c.path("made"))
	c.want(c.path("made"))
}

// newCopySource is an admin endpoint that answers what a copy asks, and returns its address.
// Send answers with the content of a blob.
func newCopySource(t *testing.T, reg *registry.Registry, send func(http.ResponseWriter, []byte)) (address string) {
	mux := http.NewServeMux()
	mux.HandleFunc(admin.Path+admin.BackupPath, func(w http.ResponseWriter, r *http.Request) {
		lines, err := moving.Opened{Registry: reg}.Lines(r.Context(), store.Position{})
		if err == nil {
			defer lines.Close()
			w.Header().Set("Content-Type", admin.BackupType)
			_, err = io.Copy(w, lines)
		}
		if err != nil {
			t.Errorf("lines: %v", err)
		}
	})
	mux.HandleFunc(admin.Path+admin.BlobPath, func(w http.ResponseWriter, r *http.Request) {
		var content []byte
		digest, err := store.ParseDigest(r.URL.Query().Get(admin.ParameterDigest))
		if err == nil {
			content, err = contentOf(r, reg, digest)
		}
		if err != nil {
			t.Errorf("blob: %v", err)
		}
		w.Header().Set("Content-Type", admin.BlobType)
		send(w, content)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func contentOf(r *http.Request, reg *registry.Registry, digest store.Digest) ([]byte, error) {
	content, _, err := moving.OpenBlob(r.Context(), reg, digest)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
