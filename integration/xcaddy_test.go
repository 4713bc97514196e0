package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const caddyPath = "github.com/caddyserver/caddy/v2"

// builder is the JSON form of xcaddy's Builder.
type builder struct {
	OS           string        `json:"os"`
	Arch         string        `json:"arch"`
	ARM          string        `json:"arm"`
	Cgo          bool          `json:"cgo"`
	CaddyVersion string        `json:"caddy_version"`
	Plugins      []dependency  `json:"plugins"`
	Replacements []replacement `json:"replacements"`
	TimeoutGet   time.Duration `json:"timeout_get"`
	TimeoutBuild time.Duration `json:"timeout_build"`
	RaceDetector bool          `json:"race_detector"`
	SkipCleanup  bool          `json:"skip_cleanup"`
	SkipBuild    bool          `json:"skip_build"`
	Debug        bool          `json:"debug"`
	BuildFlags   string        `json:"build_flags"`
	ModFlags     string        `json:"mod_flags"`
	EmbedDirs    []embedDir    `json:"embed_dir"`
}

type dependency struct {
	ModulePath string `json:"module_path"`
	Version    string `json:"version"`
}

type replacement struct {
	Old string `json:"old"`
	New string `json:"new"`
}

type embedDir struct {
	Dir  string `json:"dir"`
	Name string `json:"name"`
}

// goMod is what go.mod says: the module's path and the Caddy version it requires.
func goMod(t *testing.T) (path, caddyVersion string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", "../go.mod").Output()
	if err != nil {
		t.Fatalf("reading go.mod: %v", err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(output, &mod); err != nil {
		t.Fatalf("decoding go.mod: %v", err)
	}
	for _, required := range mod.Require {
		if required.Path == caddyPath {
			return mod.Module.Path, required.Version
		}
	}
	t.Fatalf("go.mod does not require %s", caddyPath)
	return "", ""
}

func TestXcaddyBuildsWhatGoModRequires(t *testing.T) {
	path, version := goMod(t)
	content, err := os.ReadFile("../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	var build builder
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&build); err != nil {
		t.Fatalf("xcaddy.json is not what xcaddy's Builder reads: %v", err)
	}
	if decoder.More() {
		t.Error("xcaddy.json goes on after its object")
	}
	if build.CaddyVersion != version {
		t.Errorf("xcaddy.json builds Caddy %s, go.mod requires %s", build.CaddyVersion, version)
	}
	if want := []dependency{{ModulePath: path}}; !slices.Equal(build.Plugins, want) {
		t.Errorf("xcaddy.json has the plug-ins %+v, want %+v", build.Plugins, want)
	}
	if path != modulePath {
		t.Errorf("go.mod names the module %s, these tests %s", path, modulePath)
	}
}

func TestDocumentsBuildWhatGoModRequires(t *testing.T) {
	path, version := goMod(t)
	for _, document := range []string{"README.md", "generic_registry.go"} {
		content, err := os.ReadFile("../" + document)
		if err != nil {
			t.Fatal(err)
		}
		commands := xcaddyBuilds(string(content))
		if len(commands) == 0 {
			t.Errorf("%s does not say how to build: it has no line with xcaddy build", document)
		}
		for _, command := range commands {
			if fault := checkBuild(command, path, version); fault != "" {
				t.Errorf("%s: %q %s", document, command, fault)
			}
		}
	}
}

const buildCommand = "xcaddy build"

// xcaddyBuilds returns the xcaddy build commands of a text, each from there to the
// end of its line. A line that ends in a backslash goes on in the next; marks of
// code around a command do not count.
func xcaddyBuilds(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var commands []string
	for line := range strings.Lines(text) {
		if i := strings.Index(line, buildCommand); i >= 0 {
			command, _, _ := strings.Cut(line[i:], "`")
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands
}

// checkBuild says what an xcaddy build command lacks, or nothing.
func checkBuild(command, path, version string) string {
	words := strings.Fields(strings.TrimPrefix(command, buildCommand))
	if len(words) == 0 || words[0] != version {
		return "does not build Caddy " + version + ", which go.mod requires"
	}
	for i, word := range words[:len(words)-1] {
		// xcaddy takes <module>[@<version>][=<replacement>].
		module, _, _ := strings.Cut(words[i+1], "=")
		module, _, _ = strings.Cut(module, "@")
		if word == "--with" && module == path {
			return ""
		}
	}
	return "lacks --with " + path
}

func TestBuildCommandsAreFoundAndJudged(t *testing.T) {
	const path, version = "example.org/registry", "v2.0.1"
	for name, test := range map[string]struct {
		text         string
		found, wrong int
	}{
		"none":                       {"Build it.\n", 0, 0},
		"plain":                      {"xcaddy build v2.0.1 --with example.org/registry\n", 1, 0},
		"from a clone":               {"$ xcaddy build v2.0.1 --with example.org/registry=.\n", 1, 0},
		"at a version":               {"xcaddy build v2.0.1 --with example.org/registry@v1\n", 1, 0},
		"among others":               {"xcaddy build v2.0.1 --output caddy --with example.org/a --with example.org/registry\n", 1, 0},
		"in prose":                   {"Run `xcaddy build v2.0.1 --with example.org/registry` first.\n", 1, 0},
		"over two lines":             {"xcaddy build v2.0.1 \\\n\t--with example.org/registry\n", 1, 0},
		"another Caddy":              {"xcaddy build v2.0.0 --with example.org/registry\n", 1, 1},
		"no Caddy version":           {"xcaddy build --with example.org/registry\n", 1, 1},
		"no plug-in":                 {"xcaddy build v2.0.1\n", 1, 1},
		"another plug-in":            {"xcaddy build v2.0.1 --with example.org/registry2\n", 1, 1},
		"nothing after with":         {"xcaddy build v2.0.1 --with\n", 1, 1},
		"bare":                       {"xcaddy build\n", 1, 1},
		"the second of two is wrong": {"xcaddy build v2.0.1 --with example.org/registry\nxcaddy build latest --with example.org/registry\n", 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			commands := xcaddyBuilds(test.text)
			wrong := 0
			for _, command := range commands {
				if checkBuild(command, path, version) != "" {
					wrong++
				}
			}
			if len(commands) != test.found || wrong != test.wrong {
				t.Errorf("found %q with %d wrong, want %d with %d wrong", commands, wrong, test.found, test.wrong)
			}
		})
	}
}
