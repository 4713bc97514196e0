package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestFilesForDeployment: the units pass systemd-analyze with the drop-in in its place, the
// Dockerfile has the images and the xcaddy line of README.md, and the compose file names it.
func TestFilesForDeployment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	read := func(name string) string { return readFile(t, filepath.Join("..", "docs", "deploy", name)) }
	// What the units name is of this machine.
	here := strings.NewReplacer("/usr/bin/caddy", caddyBinary, "User=caddy", "User=root", "Group=caddy", "Group=root")
	stock := "[Unit]\nDescription=Caddy\n\n[Service]\nType=notify\nExecStart=" + caddyBinary + " run --environ --config /etc/caddy/Caddyfile\nTimeoutStopSec=5s\n"
	if err := os.Mkdir(filepath.Join(dir, "caddy.service.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "caddy.service"), stock)
	writeFile(t, filepath.Join(dir, "caddy.service.d", "registry.conf"), here.Replace(read("caddy.service.d.conf")))
	units := []string{filepath.Join(dir, "caddy.service")}
	for _, name := range []string{"registry-backup.service", "registry-backup.timer"} {
		writeFile(t, filepath.Join(dir, name), here.Replace(read(name)))
		units = append(units, filepath.Join(dir, name))
	}
	verify := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	verify.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	if output, err := verify.CombinedOutput(); err != nil || strings.Contains(string(output), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}

	dockerfile := read("Dockerfile")
	for line := range strings.Lines(blocks(t, "README.md", "dockerfile")[0].text) {
		if !strings.Contains(dockerfile, line) {
			t.Errorf("the Dockerfile does not have the line %q of README.md", line)
		}
	}
	for _, want := range []string{`(?m)^USER registry$`, `(?m)^VOLUME /data`, `(?m)^HEALTHCHECK `} {
		if !regexp.MustCompile(want).MatchString(dockerfile) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	var compose struct {
		Services map[string]struct {
			Build struct{ Context, Dockerfile string }
		}
	}
	if err := yaml.Unmarshal([]byte(read("compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	build := compose.Services["registry"].Build
	if _, err := os.Stat(filepath.Join("..", "docs", "deploy", build.Context, build.Dockerfile)); err != nil {
		t.Errorf("the compose file builds what there is not: %v", err)
	}
}

// TestCommandsOfComingFrom moves versions with the commands of coming-from.md, from one
// registry to another: the first speaks Gitea's API, as Gitea does. A version that was not
// fetched whole is not pushed.
// Seen to fail with a push that does not depend on the pull.
func TestCommandsOfComingFrom(t *testing.T) {
	t.Parallel()
	const team = "owner team {\n\t\t\twrite alice\n\t\t}"
	from, to := startServer(t, team), startServer(t, team)
	names := []string{"1.0.0", "2.0.0+more"}
	for _, version := range names {
		from.put(filePath("team", "tool", strings.ReplaceAll(version, "+", "%2B"), "tool.tar.gz"), []byte(version))
	}
	for _, file := range []string{"good", "bad"} {
		from.put(filePath("team", "tool", "3.0.0", file), []byte(file))
	}
	commands := blocks(t, "docs/coming-from.md", "sh")
	if len(commands) != 2 {
		t.Fatalf("%d blocks of commands, want 2", len(commands))
	}
	for _, b := range commands {
		text := strings.ReplaceAll(b.text, "https://gitea.example.com", fmt.Sprintf("http://127.0.0.1:%d", from.port))
		folder := folderWith(t, map[string][]byte{"moved/tool/3.0.0/bad": []byte("something else")})
		if output, err := to.script("bash", folder, text, "GITEA_TOKEN="+password, "REGISTRY_TOKEN="+password); err != nil {
			t.Errorf("%s: %v\n%s", b, err, output)
		}
	}
	for _, version := range names {
		to.wantBytes(filePath("team", "tool", strings.ReplaceAll(version, "+", "%2B"), "tool.tar.gz"), []byte(version))
	}
	to.want(http.StatusNotFound, http.MethodGet, filePath("team", "tool", "3.0.0", "good"), "alice", nil)
}

// TestSystemsOf32BitAreRefused when the binary is built, with a reason.
func TestSystemsOf32BitAreRefused(t *testing.T) {
	t.Parallel()
	for _, architecture := range []string{"386"} {
		build := exec.CommandContext(t.Context(), "go", "vet", "../module/disk")
		build.Env = append(os.Environ(), "GOARCH="+architecture, "CGO_ENABLED=0")
		output, err := build.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "needs_a_64_bit_system") {
			t.Errorf("for %s: %v\n%s\nwant a reason", architecture, err, output)
		}
	}
}

// TestPlaceholdersOfTheDocuments: the access log of the Caddyfile in operate.md has what the
// table says, of requests that are answered and that are refused.
func TestPlaceholdersOfTheDocuments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	text := strings.Replace(caddyfileWith(t, "docs/operate.md", "log_append").text, "generic_registry\n}", basicAuth()+"\tgeneric_registry {\n\t\troot "+s.root+"\n\t}\n}", 1)
	var lines strings.Builder
	for _, name := range []string{"user", "token", "owner", "package", "version", "file", "size", "digest", "result"} {
		if placeholder := "{http.generic_registry." + name + "}"; !strings.Contains(readFile(t, "../docs/operate.md"), "`"+placeholder+"`") {
			t.Errorf("operate.md does not have %s", placeholder)
		} else {
			fmt.Fprintf(&lines, "\tlog_append the_%s %s\n", name, placeholder)
		}
	}
	s.start(s.local(strings.Replace(text, "\tlog\n", "\tlog\n"+lines.String(), 1)))
	content := []byte("placeholders")
	s.want(201, "PUT", filePath("alice", "tool", "1.0", "f"), "alice", content)
	s.want(403, "PUT", filePath("alice", "tool", "1.0", "g"), "bob", content)
	digest := fmt.Sprintf("%x", sha256.Sum256(content))
	for _, want := range []map[string]any{
		{"the_user": "alice", "the_token": "", "the_owner": "alice", "the_package": "tool", "the_version": "1.0", "the_file": "f", "the_size": 12.0, "the_digest": digest, "the_result": "ok", "registry_user": "alice"},
		{"the_user": "bob", "the_owner": "alice", "the_package": "tool", "the_version": "1.0", "the_file": "g", "the_size": "", "the_digest": "", "the_result": "user bob may not write in alice/tool", "result": "user bob may not write in alice/tool"},
	} {
		s.eventually(fmt.Sprintf("the access log has %v and a trace", want), func() bool { return s.hasLogged(want) })
	}
}

// hasLogged tells whether the access log has a traced request with some fields.
func (s *server) hasLogged(want map[string]any) bool {
	for line := range strings.Lines(s.logText()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["traceID"] == nil {
			continue
		}
		all := true
		for name, value := range want {
			all = all && fields[name] == value
		}
		if all {
			return true
		}
	}
	return false
}
