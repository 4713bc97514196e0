package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/generic-registry/caddy-generic-registry"
	badgerPath = "github.com/dgraph-io/badger"
)

// rooms are the packages of the module, by folder; the folders that each may
// import; and those that its tests may import besides. Imports flow one way: what is
// further down never imports what is above. Folders are patterns of path.Match; the
// first that matches decides.
var rooms = []struct {
	folder  string
	imports []string
	tests   []string
}{
	{"integration/caddy", []string{"."}, nil},
	{"integration", belowIntegration, nil},
	{"integration/*", belowIntegration, nil},
	{"integration/bench/stock", nil, nil},
	{".", []string{"caddyfile"}, nil},
	{"caddyfile", []string{"module", "module/web/computed", "module/web/files", "module/web/visit", "module/access", "module/store"}, nil},
	{"module", []string{"module/web/*", "module/access", "module/operate/*", "module/pool", "module/metadata/*", "module/blobs/*", "module/directory", "module/disk", "module/registry", "module/registry/*", "module/journal", "module/store"}, suites},
	{"module/web/api", []string{"module/web/visit", "module/registry", "module/store"}, slices.Concat([]string{"module/access"}, suites)},
	{"module/web/computed", []string{"module/web/send", "module/web/visit", "module/registry", "module/store"}, suites},
	{"module/web/files", []string{"module/web/computed", "module/registry/versions", "module/web/receive", "module/web/send", "module/web/visit", "module/registry", "module/store"}, slices.Concat([]string{"module/access"}, suites)},
	{"module/web/pages", []string{"module/web/visit", "module/registry", "module/registry/versions", "module/store"}, nil},
	{"module/web/receive", []string{"module/web/visit", "module/registry", "module/store"}, nil},
	{"module/web/resume", []string{"module/web/files", "module/web/receive", "module/web/send", "module/web/visit", "module/registry", "module/store"}, suites},
	{"module/web/send", []string{"module/web/visit", "module/registry", "module/store"}, suites},
	{"module/web/visit", []string{"module/access", "module/pool", "module/registry", "module/store"}, suites},
	{"module/operate/command", []string{"module/operate/admin", "module/operate/health", "module/operate/push", "module/pool", "module/registry", "module/registry/backup", "module/registry/backup/folder", "module/registry/integrity", "module/directory", "module/store"}, []string{"module/metadata/*", "module/blobs/*"}},
	{"module/operate/push", []string{"module/store"}, nil},
	{"module/operate/*", []string{"module/operate/health", "module/pool", "module/registry", "module/registry/backup", "module/registry/integrity", "module/store"}, suites},
	{"module/pool/pooltest", []string{"module/pool", "module/registry", "module/storetest/memory", "module/store"}, nil},
	{"module/pool", []string{"module/registry", "module/registry/*", "module/directory", "module/store"}, suites},
	// A store's tests need one of the other kind to run publishes.
	{"module/metadata/*", []string{"module/journal", "module/directory", "module/disk", "module/store"}, slices.Concat(engine, []string{"module/blobs/*"})},
	{"module/blobs/*", []string{"module/directory", "module/disk", "module/store"}, slices.Concat(engine, []string{"module/metadata/*"})},
	{"module/storetest", []string{"module/disk", "module/disk/disktest", "module/registry", "module/registry/*", "module/journal", "module/store"}, engine},
	{"module/storetest/*", []string{"module/journal", "module/store"}, suites},
	{"module/registry/backup/folder", []string{"module/registry/backup", "module/journal", "module/directory", "module/disk", "module/store"}, engine},
	{"module/registry/backup", []string{"module/registry", "module/registry/integrity", "module/journal", "module/transfer", "module/store"}, suites},
	{"module/registry", []string{"module/registry/integrity", "module/registry/versions", "module/transfer", "module/store"}, suites},
	{"module/registry/versions", []string{"module/store"}, nil},
	{"module/registry/integrity", []string{"module/transfer", "module/store"}, engine},
	{"module/access", []string{"module/store"}, nil},
	{"module/journal", []string{"module/disk", "module/store"}, suites},
	{"module/directory", []string{"module/disk", "module/store"}, nil},
	{"module/disk", []string{"module/store"}, nil},
	{"module/disk/disktest", []string{"module/disk"}, nil},
	{"module/transfer", []string{"module/store"}, nil},
	{"module/store", nil, suites},
}

var (
	belowIntegration = []string{".", "caddyfile", "module", "module/metadata/*", "module/blobs/*", "module/registry", "module/registry/*", "module/store"}

	// suites are what only tests may import.
	suites = []string{"module/disk/disktest", "module/pool/pooltest", "module/storetest", "module/storetest/*"}

	// engine is what tests of a store may import besides: publishes run over both halves.
	engine = slices.Concat([]string{"module/registry", "module/registry/*"}, suites)
)

// platforms are those whose files are judged: an import behind a build constraint
// counts as well.
var platforms = []string{"linux", "darwin", "windows"}

// listed is a package as go list prints it.
type listed struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Error        *struct{ Err string }
}

// folder is the package's place in the module, "." for its root.
func (p listed) folder() string { return folderOf(p.ImportPath) }

func folderOf(importPath string) string {
	if importPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(importPath, modulePath+"/")
}

func isOurs(importPath string) bool {
	return importPath == modulePath || strings.HasPrefix(importPath, modulePath+"/")
}

// list returns what go list says of the packages on a platform.
func list(t *testing.T, platform string, args ...string) []listed {
	t.Helper()
	fields := "-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps,Error"
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", fields}, args...)...)
	command.Dir = ".."
	command.Env = append(os.Environ(), "GOOS="+platform, "CGO_ENABLED=0")
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		t.Fatalf("listing packages for %s: %v\n%s", platform, err, complaint.String())
	}
	var packages []listed
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decoding packages: %v", err)
		}
		if p.Error != nil {
			t.Errorf("package %s: %s", p.ImportPath, p.Error.Err)
		}
		packages = append(packages, p)
	}
}

func matches(folder string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, folder)
		return err == nil && matched
	})
}

// mayImport returns the folders that a folder's files may import, and those that its
// tests may.
func mayImport(t *testing.T, folder string) (files, tests []string) {
	t.Helper()
	for _, room := range rooms {
		if matches(folder, []string{room.folder}) {
			return room.imports, slices.Concat(room.imports, room.tests)
		}
	}
	t.Errorf("package %s is in no room: say in the table what it may import", folder)
	return nil, nil
}

func TestImportsFlowOneWay(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform, func(t *testing.T) {
			for _, p := range list(t, platform, "./...") {
				files, tests := mayImport(t, p.folder())
				checkImports(t, p, "imports", p.Imports, files)
				checkImports(t, p, "imports in a test", slices.Concat(p.TestImports, p.XTestImports), tests)
			}
		})
	}
}

func checkImports(t *testing.T, p listed, how string, imports, allowed []string) {
	t.Helper()
	for _, imported := range imports {
		if !isOurs(imported) || imported == p.ImportPath {
			continue
		}
		if folder := folderOf(imported); !matches(folder, allowed) {
			t.Errorf("%s %s %s, against the direction of imports: of ours it may import %v", p.folder(), how, folder, allowed)
		}
	}
}

func TestEveryRoomExists(t *testing.T) {
	packages := list(t, platforms[0], "./...")
	for _, room := range rooms {
		if strings.HasPrefix(room.folder, "integration") {
			continue // holds only test files, which go list shows once there are any
		}
		if !slices.ContainsFunc(packages, func(p listed) bool { return matches(p.folder(), []string{room.folder}) }) {
			t.Errorf("no package is in %s: the table is out of date", room.folder)
		}
	}
}

func TestOnlyItsBackendImportsBadger(t *testing.T) {
	const backend = "module/metadata/badger"
	var found bool
	for _, p := range list(t, platforms[0], "./...") {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if imported != badgerPath && !strings.HasPrefix(imported, badgerPath+"/") {
				continue
			}
			found = true
			if p.folder() != backend {
				t.Errorf("%s imports %s: only %s may, others go through store.MetadataStore", p.folder(), imported, backend)
			}
		}
	}
	if !found {
		t.Errorf("nothing imports %s: has its path changed?", badgerPath)
	}
}

// semverPath is the library that says which version is the highest, as those who publish
// charts know it. It needs the standard library only.
const semverPath = "github.com/Masterminds/semver/v3"

func TestTheEngineNeedsOnlyTheStandardLibrary(t *testing.T) {
	for _, platform := range platforms {
		packages := list(t, platform, "-deps", "./module/registry", "./module/store", "./module/transfer")
		if len(packages) < 2 {
			t.Fatalf("%s: registry has %d dependencies, want many: is the list complete?", platform, len(packages)-1)
		}
		for _, p := range packages {
			if !p.Standard && !isOurs(p.ImportPath) && p.ImportPath != semverPath {
				t.Errorf("%s: the engine depends on %s: the domain knows neither Caddy nor a database nor a logger, only the standard library and what orders versions", platform, p.ImportPath)
			}
		}
	}
}

// TestSuitesAreNotLinked holds that the contract suite, and with it package testing,
// is in no binary.
func TestSuitesAreNotLinked(t *testing.T) {
	for _, p := range list(t, platforms[0], "./...") {
		if matches(p.folder(), suites) {
			continue
		}
		for _, dependency := range p.Deps {
			if isOurs(dependency) && matches(folderOf(dependency), suites) {
				t.Errorf("%s depends on %s outside of its tests", p.folder(), folderOf(dependency))
			}
		}
	}
}
