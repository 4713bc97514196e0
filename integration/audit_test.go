package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// auditLine is what an audit line must have.
type auditLine struct {
	Logger, Msg, Action, Result, User, Token string
	Owner, Package, Version, File, Digest    string
	Republished                              string
	Status                                   int
	Size                                     *int64
	ClientIP                                 string `json:"client_ip"`
	RemoteAddr                               string `json:"remote_addr"`
}

func (s *server) auditLines() (lines []auditLine) {
	for text := range strings.Lines(s.logText()) {
		var line auditLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Logger == "http.handlers.generic_registry.audit" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestEveryChangeIsAudited, done or refused, with one line; reads have none.
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	token := s.token("--name", "deploy", "--user", "alice", "--scope", "write")
	content := []byte("content")
	path := filePath("alice", "tool", "1.0", "File")
	s.want(201, http.MethodPut, path, "", content, authorization("Bearer "+token))
	s.want(200, http.MethodGet, path, "", nil)
	s.want(409, http.MethodPut, path, "alice", content)
	s.want(403, http.MethodDelete, path, "", nil, authorization("Bearer "+token))
	s.want(403, http.MethodDelete, path, "bob", nil)
	s.want(401, http.MethodDelete, path, "", nil)
	s.want(401, http.MethodDelete, path, "", nil, authorization("Bearer grt_x"))
	s.want(401, http.MethodGet, path, "", nil, authorization("Bearer "+token[:len(token)-4]+"aaaa"))
	s.want(401, http.MethodHead, path, "", nil, authorization(basic("mallory", "hunter2")))
	s.want(401, http.MethodGet, path, "", nil, authorization(basic("grt_x", "hunter2")))
	s.want(400, http.MethodPut, filePath("alice", "tool", "..", "f"), "alice", content)
	s.want(204, http.MethodDelete, versionPath("alice", "tool", "1.0"), "alice", nil)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	lines := s.auditLines()
	made := lines[0]
	if made.Action != "token_create" || made.Msg != "changed" || made.User != "alice" || made.Token != "deploy" || made.RemoteAddr == "" {
		t.Errorf("the line of a token that is made is %+v", made)
	}
	lines = lines[1:]
	want := []auditLine{
		{Msg: "changed", Action: "write", Status: 201, Result: "ok", User: "alice", Token: "deploy", File: "File", Digest: digest},
		{Msg: "refused", Action: "write", Status: 409, Result: "package file already exists", User: "alice", File: "File"},
		{Msg: "refused", Action: "delete", Status: 403, Result: "the scope of token deploy does not allow it to delete in alice/tool", User: "alice", Token: "deploy", File: "File"},
		{Msg: "refused", Action: "delete", Status: 403, Result: "user bob may not delete in alice/tool", User: "bob", File: "File"},
		{Msg: "refused", Action: "delete", Status: 401, Result: "authentication required", File: "File"},
		{Msg: "refused", Action: "delete", Status: 401, Result: "token does not exist: malformed"},
		{Msg: "refused", Action: "read", Status: 401, Result: "token does not exist: wrong secret", User: "alice", Token: "deploy"},
		{Msg: "refused", Action: "read", Status: 401, Result: "wrong user or password", User: "mallory"},
		{Msg: "refused", Action: "read", Status: 401, Result: "token does not exist: malformed"},
		{Msg: "refused", Action: "write", Status: 400, Result: unsafePath, User: "alice"},
		{Msg: "changed", Action: "delete", Status: 204, Result: "ok", User: "alice"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %+v", len(lines), len(want), lines)
	}
	for i, got := range lines {
		w := want[i]
		if got.Msg != w.Msg || got.Action != w.Action || got.Status != w.Status || got.Result != w.Result || got.User != w.User ||
			got.Token != w.Token || got.File != w.File || got.Digest != w.Digest {
			t.Errorf("line %d is %+v, want %+v", i, got, w)
		}
		if got.ClientIP != "127.0.0.1" || !strings.HasPrefix(got.RemoteAddr, "127.0.0.1:") {
			t.Errorf("line %d is from %q, %q", i, got.RemoteAddr, got.ClientIP)
		}
	}
	for _, secret := range []string{strings.TrimPrefix(token, "grt_"), "hunter2", "grt_x"} {
		if strings.Contains(s.logText(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	if first := lines[0]; first.Owner != "alice" || first.Package != "tool" || first.Version != "1.0" || first.Size == nil || *first.Size != int64(len(content)) {
		t.Errorf("the first line is %+v", first)
	}
}

// TestARevokedTokenIsAudited.
func TestARevokedTokenIsAudited(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	s.token("--name", "deploy", "--user", "alice", "--scope", "write")
	s.mustCommand("token", "revoke", "deploy", "--root", s.root)
	lines := s.auditLines()
	if len(lines) != 2 || lines[1].Action != "token_revoke" || lines[1].Token != "deploy" || lines[1].User != "alice" {
		t.Errorf("the lines are %+v", lines)
	}
}

// TestOpeningIsTold: the log names each registry that is opened, with what it has, and
// warns of a new one.
func TestOpeningIsTold(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const newOne = "the registry is new"
	opened := func() (line struct {
		Msg, Root, ID                     string
		Owners, Versions, Bytes, Position int64
	}) {
		for text := range strings.Lines(s.logText()) {
			if strings.Contains(text, `"opened the registry"`) && json.Unmarshal([]byte(text), &line) != nil {
				t.Errorf("the line is %s", text)
			}
		}
		return line
	}
	s.eventually("a new registry is told", func() bool { return strings.Count(s.logText(), newOne) == 1 })
	first := opened()
	if first.Root != s.root || first.ID == "" || first.Owners != 0 || first.Position != 0 {
		t.Errorf("a new registry is %+v", first)
	}
	s.put(filePath("alice", "p", "1", "f"), pattern(1, 1000))
	s.put(filePath("alice", "p", "2", "f"), pattern(1, 1000))
	s.kill()
	s.start(s.site())
	s.eventually("the next opening is told", func() bool { return opened().Position > 0 })
	if got := opened(); got.ID != first.ID || got.Owners != 1 || got.Versions != 2 || got.Bytes != 2000 {
		t.Errorf("the registry is %+v", got)
	}
	if count := strings.Count(s.logText(), newOne); count != 1 {
		t.Errorf("%d times: %s", count, newOne)
	}
}

// TestPlaceholdersOfRequests are there for what stands around the directive.
func TestPlaceholdersOfRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.tokenSite(), "\tgeneric_registry_auth", `	log
	log_append registry_file {http.generic_registry.file}
	log_append registry_digest {http.generic_registry.digest}
	log_append registry_token {http.generic_registry.token}
	log_append registry_result {http.generic_registry.result}
	header >X-Package "{http.generic_registry.owner}/{http.generic_registry.package} {http.generic_registry.version} {http.generic_registry.size} {http.generic_registry.user}"
	generic_registry_auth`, 1))
	token := s.token("--name", "deploy", "--user", "alice", "--scope", "write")
	got := s.want(201, http.MethodPut, filePath("alice", "tool", "1.0", "f"), "", []byte("1234"), authorization("token "+token))
	if value := got.header.Get("X-Package"); value != "alice/tool 1.0 4 alice" {
		t.Errorf("X-Package is %q", value)
	}
	got = s.want(404, http.MethodGet, filePath("alice", "tool", "2.0", "f"), "", nil)
	if value := got.header.Get("X-Package"); value != "alice/tool 2.0" {
		t.Errorf("X-Package of what is missing is %q", value)
	}
	s.eventually("the requests are logged", func() bool {
		log := s.logText()
		return strings.Contains(log, `"registry_file":"f"`) && strings.Contains(log, `"registry_token":"deploy"`) &&
			strings.Contains(log, `"registry_digest":"03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"`) &&
			strings.Contains(log, `"registry_result":"package does not exist"`)
	})
}
