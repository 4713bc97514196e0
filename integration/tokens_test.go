package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tokenSite is a Caddyfile with tokens and, for alice and bob, passwords.
func (s *server) tokenSite(settings ...string) string {
	return s.global() + s.tokenSiteAt(s.port, s.root, settings...)
}

func (s *server) tokenSiteAt(port int, root string, settings ...string) string {
	return fmt.Sprintf(`http://127.0.0.1:%d {
	generic_registry_auth {
		root %s
		basic {
			alice %s
			bob %[3]s
		}
	}
	generic_registry {
		root %[2]s
		%[4]s
	}
}
`, port, root, passwordHash, strings.Join(settings, "\n\t\t"))
}

// command runs a command of the binary against the server's admin endpoint and
// returns what it prints to standard output, and to standard error.
func (s *server) command(arguments ...string) (out, notes string, err error) {
	s.Helper()
	return s.commandAt(fmt.Sprintf("127.0.0.1:%d", s.admin), arguments...)
}

// commandAt is command with another address of the admin endpoint.
func (s *server) commandAt(address string, arguments ...string) (out, notes string, err error) {
	s.Helper()
	arguments = append([]string{"generic-registry"}, arguments...)
	command := exec.Command(caddyBinary, append(arguments, "--address", address)...)
	command.Env = s.environment()
	var outText, notesText strings.Builder
	command.Stdout, command.Stderr = &outText, &notesText
	err = command.Run()
	return outText.String(), notesText.String(), err
}

func (s *server) mustCommand(arguments ...string) string {
	s.Helper()
	out, notes, err := s.command(arguments...)
	if err != nil {
		s.Fatalf("caddy generic-registry %v: %v\n%s%s", arguments, err, out, notes)
	}
	return out
}

func (s *server) token(arguments ...string) string {
	s.Helper()
	token := strings.TrimSpace(s.mustCommand(append([]string{"token", "create"}, arguments...)...))
	if !strings.HasPrefix(token, "grt_") || len(token) != 40 {
		s.Fatalf("the token is %q", token)
	}
	return token
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func authorization(value string) header { return header{"Authorization", value} }

func TestTokensAreCarriedAsClientsDo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite("owner team {", "\tread @users", "\twrite ci", "}"))
	token := s.token("--name", "deploy", "--user", "ci", "--scope", "write,delete")
	wrong := token[:len(token)-1] + map[bool]string{true: "b", false: "a"}[strings.HasSuffix(token, "a")]
	for i, test := range []struct {
		name, value string
		want        int
	}{
		{"bearer", "Bearer " + token, 201},
		{"bearer in other case", "bEARER " + token, 201},
		{"token", "token " + token, 201},
		{"password", basic("anybody", token), 201},
		{"password of nobody", basic("", token), 201},
		{"user", basic(token, ""), 201},
		{"user with a word for a password", basic(token, "x-oauth-basic"), 201},
		{"a user with a password is still himself", basic("alice", password), 403},
		{"a wrong secret", "Bearer " + wrong, 401},
		{"a wrong secret as a password", basic("alice", wrong), 401},
		{"a wrong secret beside a right password", basic(wrong, password), 401},
		{"an ID alone", "Bearer " + token[:14], 401},
		{"more than a token", "Bearer " + token + "a", 401},
		{"no token", "Bearer ", 401},
		{"the prefix in other case", "Bearer " + strings.ToUpper(token), 401},
		{"a wrong password", basic("alice", "wrong"), 401},
		{"an unknown user", basic("mallory", password), 401},
		{"another scheme", "Digest " + token, 401},
		{"a broken Basic", "Basic " + token, 401},
		{"nothing after all", "", 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.in(t)
			got := s.want(test.want, http.MethodPut, filePath("team", "p", fmt.Sprint(i), "f"), "", []byte("x"), authorization(test.value))
			if test.want == 401 && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic realm=") {
				t.Errorf("challenge is %q", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	s.want(401, http.MethodPut, filePath("team", "p", "none", "f"), "", []byte("x"))
	s.want(401, http.MethodGet, filePath("team", "p", "0", "f"), "", nil)
	s.want(200, http.MethodGet, filePath("team", "p", "0", "f"), "alice", nil)
	if log := s.logText(); strings.Contains(log, token) || strings.Contains(log, token[14:]) {
		t.Error("the token is in the log")
	}
}

func TestScopesOfTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite("owner private {", "\tread alice", "}"))
	for _, path := range []string{filePath("alice", "tool-a", "1", "f"), filePath("alice", "other", "1", "f"), filePath("private", "p", "1", "f")} {
		owner := strings.Split(path, "/")[3]
		if owner == "alice" {
			s.put(path, []byte("x"))
		}
	}
	read := s.token("--name", "read", "--user", "alice")
	write := s.token("--name", "write", "--user", "alice", "--scope", "write", "--owner", "ALI*", "--package", "tool-*", "--package", "x")
	remove := s.token("--name", "delete", "--user", "alice", "--scope", "delete")
	bob := s.token("--name", "bob", "--user", "bob", "--scope", "read,write,delete")
	for _, test := range []struct {
		name, token, method, owner, pkg string
		want                            int
	}{
		{"read reads", read, "GET", "alice", "other", 200},
		{"read heads", read, "HEAD", "alice", "other", 200},
		{"read does not write", read, "PUT", "alice", "new", 403},
		{"read does not delete", read, "DELETE", "alice", "other", 403},
		{"read has its user's rights", read, "GET", "private", "p", 404},
		{"write reads what it covers", write, "GET", "alice", "tool-a", 200},
		{"write does not read elsewhere", write, "GET", "alice", "other", 403},
		{"write writes what it covers", write, "PUT", "alice", "tool-b", 201},
		{"write writes the second pattern", write, "PUT", "Alice", "X", 201},
		{"write does not write elsewhere", write, "PUT", "alice", "new", 403},
		{"write does not delete", write, "DELETE", "alice", "tool-a", 403},
		{"a scope adds nothing to what the user may", bob, "PUT", "alice", "new", 403},
		{"a private owner stays closed", bob, "GET", "private", "p", 404},
		{"a name that is not there says as much", write, "GET", "bob", "p", 403},
		{"delete deletes", remove, "DELETE", "alice", "tool-a", 204},
		{"delete does not write", remove, "PUT", "alice", "tool-a", 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.in(t).want(test.want, test.method, filePath(test.owner, test.pkg, "1", "f"), "", []byte("x"), authorization("token "+test.token))
		})
	}
}

// TestTokensLive: made, listed, revoked and expired without a reload, and kept
// over a crash.
func TestTokensLive(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	status := func(token string) int {
		return s.do(http.MethodGet, filePath("alice", "none", "1", "f"), "", nil, authorization("Bearer "+token)).status
	}
	began := time.Now().UTC()
	first := s.token("--name", "first", "--user", "alice", "--scope", "read", "--owner", "alice", "--expires", "30d")
	second := s.token("--name", "second token", "--user", "alice")
	brief := s.token("--name", "brief", "--user", "alice", "--expires", "1s")
	for _, token := range []string{first, second} {
		if got := status(token); got != http.StatusNotFound {
			t.Errorf("a new token: %d", got)
		}
	}
	s.eventually("the token expires", func() bool { return status(brief) == http.StatusUnauthorized })
	list := s.mustCommand("token", "list")
	for _, want := range []string{"NAME", "first", "second token", "alice", first[4:14]} {
		if !strings.Contains(list, want) {
			t.Errorf("the list has no %q:\n%s", want, list)
		}
	}
	if made, now := began.Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly); !strings.Contains(list, made) && !strings.Contains(list, now) {
		t.Errorf("the list has neither %q nor %q:\n%s", made, now, list)
	}
	if strings.Contains(list, first[14:]) {
		t.Errorf("the list has a secret:\n%s", list)
	}
	s.kill()
	s.start(s.tokenSite())
	if got := status(first); got != http.StatusNotFound {
		t.Errorf("after a crash: %d", got)
	}
	s.mustCommand("token", "revoke", first[4:14])
	s.mustCommand("token", "revoke", "SECOND token")
	for _, token := range []string{first, second} {
		if got := status(token); got != http.StatusUnauthorized {
			t.Errorf("a revoked token: %d", got)
		}
	}
	s.token("--name", "first", "--user", "bob") // the name is free again
}

func TestTokenCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other := filepath.Join(s.dir, "other")
	second := freePort(t)
	s.start(s.tokenSite() + s.tokenSiteAt(second, other))
	s.mustCommand("token", "create", "--name", "taken", "--user", "alice", "--root", s.root)
	for _, test := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"token", "create", "--name", "x", "--user", "alice"}, other},
		{[]string{"token", "list", "--root", "/nowhere"}, s.root},
		{[]string{"token", "create", "--name", "Taken", "--user", "bob", "--root", s.root}, "a token of that name already exists"},
		{[]string{"token", "create", "--user", "bob", "--root", s.root}, "--name ci --user ci"},
		{[]string{"token", "create", "--name", "x", "--user", "bob", "--scope", "admin", "--root", s.root}, "unknown action"},
		{[]string{"token", "create", "--name", "x", "--user", "bob", "--owner", "[", "--root", s.root}, "syntax error in pattern"},
		{[]string{"token", "create", "--name", "x", "--user", "bob", "--expires", "soon", "--root", s.root}, "--expires"},
		{[]string{"token", "create", "--name", "x", "--user", "bob", "--expires", "2001-01-01", "--root", s.root}, "expired already"},
		{[]string{"token", "revoke", "nobody", "--root", s.root}, "token does not exist"},
		{[]string{"token", "revoke", "--root", s.root}, "write the ID or the name of one token"},
	} {
		out, notes, err := s.command(test.arguments...)
		if err == nil || !strings.Contains(notes, test.says) {
			t.Errorf("%v: %v\n%s%s", test.arguments, err, out, notes)
		}
	}
	s.mustCommand("token", "create", "--name", "taken", "--user", "alice", "--root", other)

	s.kill()
	if _, notes, err := s.command("token", "list"); err == nil || !strings.Contains(notes, "is Caddy running") {
		t.Errorf("without a server: %v\n%s", err, notes)
	}
}

// TestTokensOverAUnixSocket, which only those may open who may make tokens.
func TestTokensOverAUnixSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	directory, err := os.MkdirTemp("", "grt") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	socket := filepath.Join(directory, "admin.sock")
	s.start(strings.Replace(s.tokenSite(), fmt.Sprintf("admin 127.0.0.1:%d", s.admin), "admin unix/"+socket+"|0600", 1))
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	output, err := s.caddy("generic-registry", "token", "create", "--name", "x", "--user", "alice", "--scope", "write", "--config", filepath.Join(s.dir, "Caddyfile"), "--adapter", "caddyfile")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	i := strings.Index(output, "grt_")
	s.want(201, http.MethodPut, filePath("alice", "p", "1", "f"), "", []byte("x"), authorization("Bearer "+output[i:i+40]))
}

func TestAnAuthenticatorNeedsItsRegistry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	wrong := strings.Replace(s.tokenSite(), "root "+s.root, "root /somewhere/else", 1)
	if err := s.reload(wrong); err == nil || !strings.Contains(err.Error(), "no registry of this configuration has the root /somewhere/else") {
		t.Errorf("reload: %v", err)
	}
	s.settle()
	s.want(200, http.MethodGet, func() string { p := filePath("alice", "p", "1", "f"); s.put(p, []byte("x")); return p }(), "", nil)
}

// TestAWrongTokenWithExpectIsAnsweredAtOnce, without any line for it in the site.
func TestAWrongTokenWithExpectIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer grt_nothing\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
		filePath("alice", "p", "1", "f"), s.port)
	if got := s.exchange(head, nil); got.status != http.StatusUnauthorized {
		t.Errorf("status is %d", got.status)
	}
}

// TestTokensCountThroughReloads: a token is good at every moment, whichever
// configuration answers.
func TestTokensCountThroughReloads(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	token := s.token("--name", "ci", "--user", "alice", "--scope", "write")
	path := filePath("alice", "p", "1", "f")
	s.want(201, http.MethodPut, path, "", []byte("x"), authorization("Bearer "+token))
	stop := make(chan struct{})
	var all sync.WaitGroup
	var answered atomic.Int64
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// A connection can be reset by a reload; a wrong answer is never given.
				got, err := s.try(http.MethodGet, path, "", nil, authorization("Bearer "+token))
				if err == nil && got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.text())
					return
				}
				answered.Add(1)
			}
		})
	}
	for i := range 10 {
		before := answered.Load()
		s.mustReload(s.tokenSite(fmt.Sprintf("max_file_size %dMiB", i+1)))
		s.eventually("requests are answered", func() bool { return answered.Load() > before+10 || t.Failed() })
	}
	close(stop)
	all.Wait()
}
