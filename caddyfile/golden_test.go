package caddyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	// What stands beside the directive in the goldens.
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

var update = flag.Bool("update", false, "rewrite what the goldens expect")

const (
	separator = "----------\n"

	// fewestGoldens is a floor: an empty testdata would otherwise pass.
	fewestGoldens = 50
)

// golden is a Caddyfile and what it adapts to: JSON, or the text of an error.
type golden struct{ name, path, input, want string }

func (g golden) wantsError() bool { return !strings.HasPrefix(g.want, "{") }

func goldens(tb testing.TB) []golden {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.caddyfiletest"))
	if err != nil {
		tb.Fatal(err)
	}
	if len(paths) < fewestGoldens {
		tb.Fatalf("found %d goldens, want at least %d", len(paths), fewestGoldens)
	}
	all := make([]golden, 0, len(paths))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		input, want, found := strings.Cut(string(content), separator)
		if !found && !*update {
			tb.Fatalf("%s has no line %q: run the test with -update", path, separator)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".caddyfiletest")
		all = append(all, golden{name, path, input, want})
	}
	return all
}

// adapt returns the JSON of a Caddyfile, indented, or the error's text. Warnings
// fail the test.
func adapt(t *testing.T, input string) string {
	t.Helper()
	adapter := caddyconfig.GetAdapter("caddyfile")
	adapted, warnings, err := adapter.Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	for _, warning := range warnings {
		t.Errorf("warning: %v", warning)
	}
	if err != nil {
		return err.Error() + "\n"
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String() + "\n"
}

func TestGoldens(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			got := adapt(t, g.input)
			if *update && got != g.want {
				if err := os.WriteFile(g.path, []byte(g.input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != g.want {
				t.Errorf("adapted to:\n%s\nwant:\n%s", got, g.want)
			}
		})
	}
}

func TestGoldensAreFormattedAsCaddyFmtWould(t *testing.T) {
	for _, g := range goldens(t) {
		if got := string(caddyfile.Format([]byte(g.input))); got != g.input {
			t.Errorf("%s formats to:\n%s", g.name, got)
		}
	}
}

func TestEveryWordHasAGoldenOfUseAndOneOfRepetition(t *testing.T) {
	for _, known := range []words{subdirectives, ownerWords, authWords, webhookWords} {
		for word := range known {
			var used, repeated bool
			for _, g := range goldens(t) {
				used = used || !g.wantsError() && (strings.Contains(g.input, "\t"+word+" ") || strings.Contains(g.input, "\t"+word+"\n"))
				repeated = repeated || strings.Contains(g.want, ": "+word+" is written twice")
			}
			if !used {
				t.Errorf("no golden adapts %s", word)
			}
			if !repeated && word != "owner" && word != "package" && word != "webhook" {
				t.Errorf("no golden repeats %s", word)
			}
		}
	}
}

// TestGoldensLoad holds that what the grammar accepts the module accepts: the
// adapted config is provisioned as caddy validate does.
func TestGoldensLoad(t *testing.T) {
	data := t.TempDir()
	t.Setenv("XDG_DATA_HOME", data)
	t.Setenv("XDG_CONFIG_HOME", data)
	t.Setenv("REGISTRY_ROOT", filepath.Join(data, "registry"))
	t.Setenv("REGISTRY_PREFIX", "/registry")
	t.Setenv("REGISTRY_DSN", "postgres://registry@db.example.com/registry")
	t.Setenv("REGISTRY_PASSWORD", "secret")
	t.Setenv("HERE", ".")
	t.Setenv("HOOK_URL", "https://ci.example.com/hook")
	t.Setenv("HOOK_SECRET", "secret")
	t.Setenv("SITE", "packages.example.com")
	for name, value := range map[string]string{"URL": "https://s3.example.com", "BUCKET": "artifacts", "PREFIX": "registry", "KEY": "key", "SECRET": "secret"} {
		t.Setenv("S3_"+name, value)
	}
	for _, g := range goldens(t) {
		if g.wantsError() {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON([]byte(g.want), &config); err != nil {
				t.Fatal(err)
			}
			config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
				"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}},
			}}
			if err := caddy.Validate(&config); err != nil {
				t.Errorf("validating: %v", err)
			}
		})
	}
	for _, root := range []string{os.Getenv("REGISTRY_ROOT"), filepath.Join(data, "caddy", "generic_registry")} {
		if _, err := os.Lstat(root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after validating, the root %s: %v, want it untouched", root, err)
		}
	}
}
