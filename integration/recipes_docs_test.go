package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// publisher is the function of README.md, and its call.
func publisher(t *testing.T) (function, call string) {
	t.Helper()
	found := blocks(t, "README.md", "bash")
	const end = "} >&2\n"
	function, call, ok := strings.Cut(found[0].text, end)
	if len(found) != 1 || !ok {
		t.Fatalf("README.md has %d scripts of bash, want one with a function and its call", len(found))
	}
	return function + end, call
}

// teamWithTokens is a server for the recipes: its root is empty, and ci has a token.
func teamWithTokens(t *testing.T) (s *server, token string) {
	t.Helper()
	s = newServer(t)
	s.start(s.tokenSite("file_names gitea", "releases", "owner team {", "\twrite alice ci", "}"))
	return s, s.token("--name", "ci", "--user", "ci", "--scope", "write", "--owner", "team")
}

// TestPublishFromCI: the function of README.md ends well when the file is published,
// now or before, and says why when it is not.
func TestPublishFromCI(t *testing.T) {
	t.Parallel()
	function, call := publisher(t)
	s, token := teamWithTokens(t)
	target, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", s.port))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var refusals atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusals.Add(1) <= 2 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(busy.Close)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(other.Close)

	for _, test := range []struct {
		name, base, token, content string
		good                       bool
		says                       string
	}{
		{"what is refused twice is tried again", busy.URL, token, "a tool", true, ""},
		{"the same file again is done", target.String(), token, "a tool", true, ""},
		{"another file of that name fails", target.String(), token, "another tool", false, "409, the published file has other bytes"},
		{"a wrong token fails", target.String(), "grt_wrong", "a tool", false, "not published: 401"},
		{"a server that answers 200 fails", other.URL, token, "a tool", false, "not published: 200"},
		{"a server that does not answer fails", "http://127.0.0.1:1", token, "a tool", false, "not published: 000"},
	} {
		for _, shell := range []string{"bash", "sh"} {
			t.Run(test.name+", with "+shell, func(t *testing.T) {
				s, directory := s.in(t), t.TempDir()
				if err := os.WriteFile(filepath.Join(directory, "tool.tar.gz"), []byte(test.content), 0o600); err != nil {
					t.Fatal(err)
				}
				script := "sleep() { :; }\n" + function + strings.ReplaceAll(call, "https://packages.example.com", test.base)
				output, err := s.script(shell, directory, script, "REGISTRY_TOKEN="+test.token)
				if good := err == nil; good != test.good || !strings.Contains(output, test.says) {
					t.Errorf("ended with %v and said %q, want success %v and %q", err, output, test.good, test.says)
				}
			})
		}
	}
	s.wantBytes(filePath("team", "tool", "1.0.0", "tool.tar.gz"), []byte("a tool"))
}

// TestCommandsOfClients runs every command of clients.md, in order.
func TestCommandsOfClients(t *testing.T) {
	t.Parallel()
	s, token := teamWithTokens(t)
	downloads := t.TempDir()
	for _, b := range blocks(t, "docs/clients.md", "sh") {
		if strings.Contains(b.text, "--continue-at") { // the download before it broke off
			if err := os.Truncate(filepath.Join(downloads, "LICENSE"), 100); err != nil {
				t.Fatal(err)
			}
		}
		s.shell(b, "REGISTRY_TOKEN="+token, "DOWNLOADS="+downloads)
	}
	license := []byte(readFile(t, "../LICENSE"))
	for _, version := range []string{"1.0.0", "1.1.0", "1.4.0"} {
		s.wantBytes(filePath("team", "tool", version, "LICENSE"), license)
	}
	s.wantBytes(versionPath("team", "tool", "1.0.0")+"/./LICENSE", license) // as apt asks
}

// recipes are the YAML blocks of clients.md.
func recipes(t *testing.T) (found []any) {
	t.Helper()
	for _, b := range blocks(t, "docs/clients.md", "yaml") {
		var recipe any
		if err := yaml.Unmarshal([]byte(b.text), &recipe); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		found = append(found, recipe)
	}
	return found
}

// scriptOf collects the commands of a CI recipe, and the variables that it sets.
func scriptOf(recipe any, variables map[string]string) (script string) {
	switch recipe := recipe.(type) {
	case []any:
		for _, one := range recipe {
			script += scriptOf(one, variables)
		}
	case map[string]any:
		for key, value := range recipe {
			switch list, isList := value.([]any); {
			case key == "run":
				script += value.(string) + "\n"
			case (key == "script" || key == "commands") && isList:
				for _, line := range list {
					script += line.(string) + "\n"
				}
			case key == "env", key == "environment", key == "variables":
				for name, text := range value.(map[string]any) {
					variables[name] = fmt.Sprint(text)
				}
			default:
				script += scriptOf(value, variables)
			}
		}
	}
	return script
}

// TestRecipesOfCI runs the commands of each CI system as it would, in a folder with
// two files, and finds both published.
func TestRecipesOfCI(t *testing.T) {
	t.Parallel()
	s, token := teamWithTokens(t)
	function, _ := publisher(t)
	ran := 0
	for _, recipe := range recipes(t) {
		variables := make(map[string]string)
		script := scriptOf(recipe, variables)
		if script == "" {
			continue // of another tool
		}
		ran++
		directory, tag := t.TempDir(), fmt.Sprintf("v1.%d", ran)
		if err := os.Mkdir(filepath.Join(directory, "dist"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"publish.sh": function, "dist/one": "one", "dist/two": "two"} {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		environment := []string{"REGISTRY=" + s.moved(variables["REGISTRY"]), "REGISTRY_TOKEN=" + token, "GITHUB_REF_NAME=" + tag, "CI_COMMIT_TAG=" + tag}
		if output, err := s.script("sh", directory, "apk() { :; }\n"+script, environment...); err != nil {
			t.Errorf("%v\n%s\n%s", err, script, output)
		}
		s.wantBytes(filePath("team", "tool", tag, "one"), []byte("one"))
		s.wantBytes(filePath("team", "tool", tag, "two"), []byte("two"))
	}
	if ran != 3 {
		t.Errorf("%d recipes have commands, want those of 3 CI systems", ran)
	}
}

// TestGoReleaserRecipe sends what GoReleaser sends for the recipe: its digest is one
// that the registry verifies.
func TestGoReleaserRecipe(t *testing.T) {
	t.Parallel()
	s, token := teamWithTokens(t)
	for _, recipe := range recipes(t) {
		fields, _ := recipe.(map[string]any)
		uploads, found := fields["uploads"].([]any)
		if !found {
			continue
		}
		upload := uploads[0].(map[string]any)
		var target strings.Builder
		text := template.Must(template.New("").Parse(s.moved(upload["target"].(string))))
		if err := text.Execute(&target, struct{ ProjectName, Version string }{"tool", "1.0.0"}); err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(target.String(), fmt.Sprintf("http://127.0.0.1:%d", s.port)) + "tool.zip"
		content := []byte("a tool")
		right, wrong := sha256.Sum256(content), sha256.Sum256(nil)
		credentials := authorization(basic(upload["username"].(string), token))
		name := upload["checksum_header"].(string)
		s.want(400, upload["method"].(string), path, "", content, credentials, header{name, hex.EncodeToString(wrong[:])})
		s.want(201, upload["method"].(string), path, "", content, credentials, header{name, hex.EncodeToString(right[:])})
		return
	}
	t.Error("clients.md has no recipe for GoReleaser")
}
