package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listener is the source of an event handler, which stock Caddy has none of: it appends
// each event as a line of JSON to a file.
const listener = `package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(listener)) }

type listener struct{ File string }

func (*listener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.listener", New: func() caddy.Module { return new(listener) }}
}

func (l *listener) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&l.File)
	return nil
}

func (l *listener) Handle(_ context.Context, event caddy.Event) error {
	line, err := json.Marshal(map[string]any{"name": event.Name(), "from": event.Origin().CaddyModule().ID, "data": event.Data})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(l.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}
`

// builtWith builds a Caddy with one more source file.
func (s *server) builtWith(source string) (binary string) {
	s.Helper()
	name, err := filepath.Abs("caddy/added.go")
	if err == nil {
		binary, err = buildFrom(map[string]string{name: source})
	}
	if err != nil {
		s.Fatalf("building with one more file: %v", err)
	}
	return binary
}

type heardEvent struct {
	Name, From string
	Data       struct {
		Root, Owner, Package, Version, File, User, Token, Digest string
		Size                                                     int64
	}
}

// TestEventsOfCaddy: who listens hears of every change once, when it is stored, in the order
// in which one client made them; of a draft only that it is published, and of nothing that
// was refused or changed nothing. A reload does not change that.
func TestEventsOfCaddy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.binary = s.builtWith(listener)
	heard := filepath.Join(s.dir, "heard")
	site := func(settings ...string) string {
		return strings.Replace(s.site(append(settings, "on_duplicate same")...), "{\n", "{\n\tevents {\n\t\ton generic_registry.published listener "+heard+
			"\n\t\ton generic_registry.deleted listener "+heard+"\n\t}\n", 1)
	}
	s.start(site())
	file, draft := filePath("alice", "tool", "1.0", "a"), filePath("alice", "tool", "2.0", "a")
	s.put(file, []byte("first"))
	s.put(file, []byte("first"))
	s.want(409, http.MethodPut, file, "alice", []byte("other"))
	s.want(403, http.MethodPut, file, "bob", []byte("other"))
	s.want(201, http.MethodPut, draft+"?draft", "alice", []byte("draft"))
	s.want(204, http.MethodDelete, draft, "alice", nil)
	s.want(201, http.MethodPut, draft+"?draft", "alice", []byte("draft"))
	s.want(200, http.MethodPost, versionPath("alice", "tool", "2.0")+"?publish", "alice", nil)
	s.want(200, http.MethodPost, versionPath("alice", "tool", "2.0")+"?publish", "alice", nil)
	s.mustReload(site("max_file_size 1MiB"))
	s.put(filePath("alice", "tool", "1.0", "b"), []byte("second"))
	s.want(204, http.MethodDelete, file, "alice", nil)
	s.want(404, http.MethodDelete, file, "alice", nil)
	s.want(204, http.MethodDelete, versionPath("alice", "tool", "2.0"), "alice", nil)
	s.want(204, http.MethodDelete, "/api/v1/packages/alice/generic/tool", "alice", nil)

	text, err := os.ReadFile(heard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var event heardEvent
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		data := event.Data
		if event.From != "http.handlers.generic_registry" || data.Root != s.root || data.User != "alice" || data.Owner != "alice" || data.Package != "tool" {
			t.Errorf("an event is %s, want the root, alice and the package", line)
		}
		if published := event.Name == "generic_registry.published" && data.File != ""; published != (data.Size > 0 && len(data.Digest) == 64) {
			t.Errorf("an event is %s, want the size and the digest of a file that is published, and of nothing else", line)
		}
		got = append(got, strings.Join([]string{event.Name, data.Version, data.File}, " "))
	}
	want := []string{
		"generic_registry.published 1.0 a", "generic_registry.published 2.0 ",
		"generic_registry.published 1.0 b", "generic_registry.deleted 1.0 a",
		"generic_registry.deleted 2.0 ", "generic_registry.deleted  ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}
