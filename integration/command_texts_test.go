package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// registryCommand runs a command without an address of the admin endpoint.
func (s *server) registryCommand(arguments ...string) (string, error) {
	s.Helper()
	return s.caddy(append([]string{"generic-registry"}, arguments...)...)
}

// TestErrorsOfCommandsSayWhatToWrite: commands that are written wrongly say what to write,
// with exit status 1 and nothing else.
func TestErrorsOfCommandsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, test := range []struct {
		name, command string
		says          []string
	}{
		{"a misspelt command is suggested", "verfy", []string{`no command "verfy"`, "did you mean verify?", "backup, copy, health, pull, push, rebuild, restore, sweep, token, verify"}},
		{"a command of another tool is suggested", "import x", []string{"did you mean restore?"}},
		{"a listing is not there yet, health is", "list", []string{"did you mean health?"}},
		{"a misspelt command of tokens is suggested", "token revke ci", []string{"did you mean revoke?", "create, list, revoke"}},
		{"a misspelt flag says where flags are listed", "token revoke --nmae ci", []string{"unknown flag: --nmae", "token revoke --help` lists the flags"}},
		{"a backup needs a place", "backup", []string{"backup <directory>, or `caddy generic-registry backup - > registry.tar`"}},
		{"a restore needs a backup", "restore", []string{"restore <directory>"}},
		{"a restore needs a root", "restore x", []string{"--config /etc/caddy/Caddyfile, or --root"}},
		{"a health takes no argument", "health x", []string{`"x" is one word too many`, "takes flags only"}},
		{"a token needs a name and a user", "token create --name ci", []string{"--name ci --user ci"}},
		{"revoking needs one token", "token revoke", []string{"write the ID or the name of one token"}},
		{"revoking takes one token", "token revoke a --name b", []string{"write the ID or the name of one token"}},
		{"nothing listens at the address", "token list --address 127.0.0.1:1", []string{"no admin endpoint answers at 127.0.0.1:1", "--config /etc/caddy/Caddyfile", "unix//run/caddy/admin.sock", "connection refused"}},
		{"there is no socket", "token list --address unix//nowhere/admin.sock|0600", []string{"there is no socket /nowhere/admin.sock: Caddy is not running"}},
		{"an address that is none", "token list --address localhost:port", []string{`"localhost:port" is not the address of an admin endpoint`}},
		{"a site is no admin endpoint", fmt.Sprintf("token list --address 127.0.0.1:%d", s.port), []string{"is not an admin endpoint", "not the address of a site"}},
		{"a site is none for a backup either", fmt.Sprintf("backup %s --address 127.0.0.1:%d", filepath.Join(s.dir, "b"), s.port), []string{"is not an admin endpoint"}},
		{"the server's text comes alone", fmt.Sprintf("token create --name . --user x --address 127.0.0.1:%d", s.admin), []string{`Error: invalid token: "." cannot be a name`}},
		{"no such configuration", "token list --config /nowhere/Caddyfile", []string{"reading the configuration: open /nowhere/Caddyfile"}},
		{"a configuration in another form", "token list --config ../Caddyfile.example --adapter nginx", []string{"this build has no such adapter"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, err := s.in(t).registryCommand(strings.Fields(test.command)...)
			if got := exitStatus(t, err); got != 1 {
				t.Errorf("exit status: got %d, want 1", got)
			}
			for _, want := range test.says {
				if !strings.Contains(output, want) {
					t.Errorf("got %q, want %q in it", output, want)
				}
			}
			if strings.Contains(output, "Usage:") || strings.Contains(output, "HTTP 4") || strings.Contains(output, `{"`) || strings.HasSuffix(output, "\n\n") {
				t.Errorf("got %q, want the text only", output)
			}
		})
	}
}

// TestAnEndpointThatIsNotHTTP is told from one that is not there.
func TestAnEndpointThatIsNotHTTP(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte("220 mail\r\n"))
			_ = connection.Close()
		}
	}()
	output, err := s.registryCommand("health", "--address", listener.Addr().String())
	if exitStatus(t, err) != 1 || !strings.Contains(output, "is not an admin endpoint of Caddy") {
		t.Errorf("got %v, %q, want that it is no admin endpoint", err, output)
	}
}

// TestTheAdminEndpointOfTheConfiguration is found without log lines, and `admin off` is
// told.
func TestTheAdminEndpointOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	output, err := s.registryCommand("token", "list", "--config", filepath.Join(s.dir, "Caddyfile"))
	if err != nil || !strings.HasPrefix(output, "ID ") || strings.Count(output, "\n") != 1 {
		t.Errorf("got %v, %q, want the head of a table only", err, output)
	}
	off := filepath.Join(s.dir, "off.caddyfile")
	if err := os.WriteFile(off, []byte("{\n\tadmin off\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := s.registryCommand("token", "list", "--config", off); exitStatus(t, err) != 1 || !strings.Contains(output, "says `admin off`") {
		t.Errorf("got %v, %q, want that there is no admin endpoint", err, output)
	}
}

func TestCreatingATokenTellsItsScope(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	create := func(arguments ...string) string {
		_, notes, err := s.command(append([]string{"token", "create", "--user", "alice"}, arguments...)...)
		return fmt.Sprint(notes, exitStatus(t, err))
	}
	for _, test := range []struct {
		name      string
		arguments []string
		says      string
	}{
		{"without a scope it may read everything", []string{"--name", "a"}, "for user alice: scope read, owners *, packages *, expires never\n"},
		{"commas separate owners and packages", []string{"--name", "b", "--owner", "team,other-*", "--package", "x,y", "--scope", "write,delete"}, "scope write,delete, owners team,other-*, packages x,y, expires never\n"},
		{"no owner has white space at an end", []string{"--name", "c", "--owner", "team, other"}, `the owner " other" has white space at an end`},
		{"no package has white space", []string{"--name", "c", "--package", "my tool"}, `no package can match "my tool"`},
		{"a name that is a dot", []string{"--name", "."}, `"." cannot be a name`},
		{"a name that is two dots", []string{"--name", ".."}, `".." cannot be a name`},
		{"a token for its own name", []string{"--name", "grt_secret"}, "the name must not begin with grt_"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := create(test.arguments...); !strings.Contains(got, test.says) || strings.Contains(got, "warning") {
				t.Errorf("got %q, want %q in it and no warning", got, test.says)
			}
		})
	}
	token := s.token("--name", "ops", "--user", "alice")
	if got := create("--name", strings.ToUpper(token[4:14])); !strings.Contains(got, "is the ID of the token ops") {
		t.Errorf("a name that is another token's ID: got %q, want a refusal", got)
	}
}

func TestRevokingATokenNamesTheRevokedToken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite())
	for _, name := range []string{"ci", "a//b", "../x", "50% off?"} {
		id := s.token("--name", name, "--user", "alice")[4:14]
		_, notes, err := s.command("token", "revoke", "--name", name)
		if want := fmt.Sprintf("token %s (%s) of user alice is revoked\n", name, id); err != nil || notes != want {
			t.Errorf("revoking by name: got %v, %q, want %q", err, notes, want)
		}
	}
	id := s.token("--name", "ci", "--user", "alice")[4:14]
	if _, notes, err := s.command("token", "revoke", "--name", id); err == nil || !strings.Contains(notes, "token does not exist") {
		t.Errorf("an ID given as a name: got %v, %q, want that there is none", err, notes)
	}
	if _, notes, err := s.command("token", "revoke", id); err != nil || !strings.Contains(notes, "token ci ("+id+")") {
		t.Errorf("revoking by ID: got %v, %q, want the name and the ID", err, notes)
	}
}

// TestATokenThatNoSiteAccepts: the command warns of such a token, and says what to write.
func TestATokenThatNoSiteAccepts(t *testing.T) {
	t.Parallel()
	s := startServer(t) // with basic_auth
	_, notes, err := s.command("token", "create", "--name", "ci", "--user", "alice")
	if err != nil || !strings.Contains(notes, "warning: no site of the configuration takes tokens of this registry: write `generic_registry_auth { root "+s.root+" }`") {
		t.Errorf("got %v, %q, want a warning", err, notes)
	}
	s.mustReload(s.tokenSite())
	if _, notes, err := s.command("token", "create", "--name", "ci2", "--user", "alice"); err != nil || strings.Contains(notes, "warning") {
		t.Errorf("after a reload: got %v, %q, want no warning", err, notes)
	}
	s.mustReload(s.site())
	if _, notes, err := s.command("token", "create", "--name", "ci3", "--user", "alice"); err != nil || !strings.Contains(notes, "warning") {
		t.Errorf("after a reload back: got %v, %q, want a warning", err, notes)
	}
}

func TestHealthCommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	out, _, err := s.command("health")
	for _, want := range []string{s.root + ": ready\n", "  metadata: ", " free, reserve 256 MiB\n", "  journal: 1 change\n", "  scrub: "} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("got %v, %q, want %q in it", err, out, want)
		}
	}
	var all []struct {
		Root  string
		Ready bool
	}
	out, _, err = s.command("health", "--json", "--root", s.root)
	if decodeErr := json.Unmarshal([]byte(out), &all); err != nil || decodeErr != nil || len(all) != 1 || all[0].Root != s.root || !all[0].Ready {
		t.Errorf("as JSON: got %v, %v, %q, want the one registry, ready", err, decodeErr, out)
	}
	s.mustReload(s.site("blobs filesystem {", "\treserve 1EiB", "}"))
	out, notes, err := s.command("health")
	if exitStatus(t, err) != 1 || !strings.Contains(out, s.root+": not ready: files can be downloaded, but not published\n  problem: blobs: the disk has ") || !strings.Contains(notes, "not every registry is ready") {
		t.Errorf("without free space: got %v, %q, %q, want what is wrong and exit status 1", err, out, notes)
	}
	if out, _, err := s.command("health", "--json"); exitStatus(t, err) != 1 || !json.Valid([]byte(out)) {
		t.Errorf("as JSON without free space: got %v, %q, want JSON and exit status 1", err, out)
	}
	s.want(http.StatusOK, http.MethodGet, filePath("alice", "p", "1", "f"), "", nil)
	s.mustReload(s.global() + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond ok\n}\n", s.port))
	if _, notes, err := s.command("health"); exitStatus(t, err) != 1 || !strings.Contains(notes, "has no generic_registry") {
		t.Errorf("without a registry: got %v, %q, want that there is none", err, notes)
	}
}
