package integration

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/generic-registry/caddy-generic-registry"
	badgerPath = "github.com/dgraph-io/badger"
)

// room is a package of the module, or several, with the folders that it may import and
// those that its tests may import besides. Folders are patterns of path.Match.
type room struct {
	folder  string
	is      string // what belongs into it
	lines   int    // that it may have without its tests, where that is not usualLines
	imports []string
	tests   []string
}

// usualLines is how many lines a package may have without its tests. One that is larger
// holds two rooms. Those with a number of their own are to be divided before they grow.
const usualLines = 1800

// rooms are all rooms. Imports flow one way: what is further down never imports what is
// above. The first that matches decides.
var rooms = []room{
	{folder: "integration/caddy", is: "the binary of the tests", imports: []string{"."}},
	{folder: "integration", is: "black-box stories of the real binary", imports: belowIntegration, tests: []string{"module/storetest/ports", "module/storetest/servers"}},
	{folder: "integration/*", is: "benches and helpers of the stories", imports: belowIntegration},
	{folder: "integration/bench/stock", is: "stock Caddy, to be compared with"},
	{folder: ".", is: "the module path as a plug-in", imports: []string{"caddyfile"}},
	{folder: "caddyfile", is: "tokens in, a configured handler or authenticator out", imports: []string{"module", "module/web/api", "module/web/computed", "module/web/files", "module/web/visit", "module/access", "module/store", "module/store/*"}},
	{folder: "module", is: "settings, provisioning, and which wing answers", imports: []string{"module/web/*", "module/web/pages/view", "module/access", "module/operate/*", "module/pool", "module/metadata/*", "module/blobs/*", "module/directory", "module/disk", "module/registry", "module/registry/*", "module/journal", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/web/api", is: "Gitea's JSON API", imports: []string{"module/gitea", "module/web/computed", "module/web/send", "module/web/visit", "module/registry", "module/registry/hashing", "module/registry/versions", "module/store", "module/store/*"}, tests: slices.Concat([]string{"module/access"}, suites)},
	{folder: "module/web/computed", is: "sums, sidecars, archives", imports: []string{"module/web/send", "module/web/visit", "module/registry", "module/registry/hashing", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/web/files", is: "the package API: routes, put, get, delete", imports: []string{"module/web/computed", "module/registry/versions", "module/web/receive", "module/web/send", "module/web/visit", "module/registry", "module/registry/reading", "module/transfer", "module/store", "module/store/*"}, tests: slices.Concat([]string{"module/access"}, suites)},
	{folder: "module/web/pages", is: "folders: pages for people, and what programs list", imports: []string{"module/web/pages/view", "module/web/visit", "module/registry", "module/registry/versions", "module/store", "module/store/*"}},
	{folder: "module/web/pages/view", is: "what pages show, and how it is written as HTML"},
	{folder: "module/web/receive", is: "a body and what it claims", imports: []string{"module/web/visit", "module/registry", "module/transfer", "module/store", "module/store/*"}},
	{folder: "module/web/resume", is: "resumable uploads", imports: []string{"module/web/files", "module/web/receive", "module/web/send", "module/web/visit", "module/registry", "module/transfer", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/web/routes", is: "what the routes of a server do with a request, and with an error"},
	{folder: "module/web/send", is: "bytes out: validators, conditions, ranges", imports: []string{"module/web/visit", "module/registry", "module/registry/reading", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/web/visit", is: "one request: its path, who asks, may they, refusals, the audit log, what was answered", imports: []string{"module/web/routes", "module/access", "module/pool", "module/registry", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/operate/command", is: "the commands of caddy generic-registry for administrators", imports: []string{"module/operate/admin", "module/operate/health", "module/operate/pull", "module/operate/push", "module/operate/target", "module/operate/terminal", "module/pool", "module/registry", "module/registry/backup", "module/registry/backup/*", "module/registry/integrity", "module/directory", "module/store", "module/store/*"}, tests: []string{"module/metadata/*", "module/blobs/*"}},
	{folder: "module/operate/target", is: "the registry that a command is for, in a running Caddy or on a disk", imports: []string{"module/operate/admin", "module/pool", "module/registry", "module/directory", "module/store", "module/store/*"}},
	{folder: "module/operate/health", is: "how a registry is, as JSON and as probes", imports: []string{"module/pool", "module/registry", "module/registry/webhook", "module/store", "module/web/visit"}},
	{folder: "module/operate/metrics", is: "what the process's registries count, for Prometheus", imports: []string{"module/pool", "module/registry", "module/registry/webhook", "module/store", "module/web/visit"}, tests: slices.Concat([]string{"module/pool/pooltest", "module/registry/integrity"}, suites)},
	{folder: "module/operate/push", is: "the command that publishes files into a version", imports: []string{"module/operate/client", "module/operate/terminal", "module/store", "module/store/*"}, tests: []string{"module/operate/client/clienttest"}},
	{folder: "module/operate/pull", is: "the command that fetches the files of a version", imports: []string{"module/operate/client", "module/operate/terminal", "module/store", "module/store/*"}, tests: []string{"module/operate/client/clienttest"}},
	{folder: "module/operate/client", is: "one server as a client sees it: URLs, credentials, requests that are tried again", imports: []string{"module/transfer", "module/store", "module/store/*"}},
	{folder: "module/operate/client/clienttest", is: "a run of a command, and a server that only has the API, for tests"},
	{folder: "module/operate/terminal", is: "how far a command is: a bar on a terminal, lines elsewhere", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/operate/*", is: "what an administrator meets", imports: []string{"module/operate/health", "module/pool", "module/registry", "module/registry/backup", "module/registry/backup/moving", "module/registry/integrity", "module/registry/webhook", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/pool/pooltest", is: "registries in the pool, for tests", imports: []string{"module/pool", "module/registry", "module/storetest/memory", "module/store", "module/store/*"}},
	{folder: "module/pool", is: "the process's open registries", imports: []string{"module/registry", "module/registry/*", "module/directory", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/metadata/badger/exit", is: "surviving what the database ends the process for"},
	{folder: "module/metadata/badger/compactions", is: "whether the database's compactions did what they were meant to", imports: []string{"module/metadata/badger/coding", "module/store"}},
	{folder: "module/metadata/badger/coding", is: "records as bytes with a checksum", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/metadata/badger/descriptors", is: "how many files the process may open, of which some are held back", imports: []string{"module/disk", "module/store"}},
	{folder: "module/metadata/badger/names", is: "which packages owners have, in memory"},
	// A store's tests need one of the other kind to run publishes.
	{folder: "module/metadata/badger", is: "records in Badger", lines: 8000, imports: []string{"module/metadata/badger/coding", "module/metadata/badger/compactions", "module/metadata/badger/descriptors", "module/metadata/badger/exit", "module/metadata/badger/names", "module/journal", "module/journal/feed", "module/journal/jsonl", "module/directory", "module/directory/settings", "module/disk", "module/store", "module/store/*"}, tests: slices.Concat(engine, []string{"module/blobs/*", "module/blobs/packs/format"})},
	{folder: "module/metadata/postgres/migrations", is: "the tables and functions of a registry in PostgreSQL", imports: []string{"module/store"}},
	{folder: "module/metadata/postgres/database", is: "one PostgreSQL database: connections, errors, how it is, one transaction for changes that wait", imports: []string{"module/metadata/postgres/migrations", "module/store", "module/store/*"}},
	{folder: "module/metadata/postgres/nodes", is: "which processes have a registry open, and what each does", imports: []string{"module/metadata/postgres/database", "module/store"}},
	{folder: "module/metadata/postgres/changes", is: "what webhooks tell later, and how far they have come, in PostgreSQL", imports: []string{"module/metadata/postgres/database", "module/store"}},
	{folder: "module/metadata/postgres/checkpoint", is: "all records of PostgreSQL as lines of a checkpoint, and back", imports: []string{"module/metadata/postgres/database", "module/journal/jsonl", "module/store", "module/store/*"}},
	{folder: "module/metadata/postgres", is: "records in PostgreSQL", imports: []string{"module/metadata/postgres/changes", "module/metadata/postgres/checkpoint", "module/metadata/postgres/database", "module/metadata/postgres/nodes", "module/store", "module/store/*"}, tests: slices.Concat(engine, []string{"module/metadata/postgres/migrations", "module/blobs/*"})},
	{folder: "module/metadata/postgres/postgrestest", is: "PostgreSQL servers for tests", imports: []string{"module/storetest/ports"}},
	{folder: "module/blobs/packs", is: "small blobs, many in a file", imports: []string{"module/blobs/packs/format", "module/blobs/packs/marks", "module/blobs/packs/recent", "module/directory", "module/disk", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/blobs/packs/format", is: "how a pack is written on the disk, byte by byte", imports: []string{"module/store"}},
	{folder: "module/blobs/packs/marks", is: "which slots of a pack have a blob, in memory, and what is done to it"},
	{folder: "module/blobs/packs/recent", is: "the last ones of what was opened, to keep their number small"},
	{folder: "module/blobs/s3/bucket", is: "one bucket of an S3 server: requests, what answers mean, the ways of bytes", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/blobs/*", is: "bytes in one place", imports: []string{"module/blobs/packs", "module/blobs/packs/format", "module/blobs/s3/bucket", "module/directory", "module/directory/entries", "module/directory/settings", "module/disk", "module/store", "module/store/*"}, tests: slices.Concat(engine, []string{"module/metadata/*"})},
	{folder: "module/storetest", is: "the contract of the stores as suites", imports: []string{"module/disk", "module/disk/disktest", "module/registry", "module/registry/*", "module/journal/jsonl", "module/store", "module/store/*"}, tests: engine},
	{folder: "module/storetest/ports", is: "free ports for the servers of tests"},
	{folder: "module/storetest/servers", is: "real servers that stores need, for tests", imports: []string{"module/storetest/ports"}},
	{folder: "module/storetest/*", is: "stores in memory, for tests", imports: []string{"module/journal/jsonl", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/backup/folder", is: "a backup as files in a folder", imports: []string{"module/registry/backup", "module/journal/jsonl", "module/directory", "module/disk", "module/store", "module/store/*"}, tests: engine},
	{folder: "module/registry/backup/moving", is: "copying a registry into another pair of stores", imports: []string{"module/registry/backup", "module/registry", "module/journal/jsonl", "module/directory", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/backup", is: "backups: the format, making, copying, restoring", imports: []string{"module/registry", "module/registry/integrity", "module/journal/jsonl", "module/transfer", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry", is: "the engine: publish, delete, uploads, drafts, the catalogue", imports: []string{"module/registry/admission", "module/registry/dates", "module/registry/downloads", "module/registry/hashing", "module/registry/integrity", "module/registry/nodes", "module/registry/reading", "module/registry/removal", "module/registry/tokens", "module/registry/webhook", "module/registry/versions", "module/transfer", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/admission", is: "what a publish may take: names, quotas, uploads at once", imports: []string{"module/transfer", "module/store", "module/store/*"}},
	{folder: "module/registry/downloads", is: "counting downloads", imports: []string{"module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/reading", is: "finding a file and opening its bytes", imports: []string{"module/registry/integrity", "module/store", "module/store/*"}},
	{folder: "module/registry/dates", is: "dates of different seconds for files of one name", imports: []string{"module/store"}},
	{folder: "module/registry/hashing", is: "the hashes of blobs besides their digest", imports: []string{"module/registry/integrity", "module/transfer", "module/store", "module/store/*"}},
	{folder: "module/registry/webhook", is: "telling receivers of changes, over HTTP", imports: []string{"module/gitea", "module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/nodes", is: "the processes that share the stores, and which does what", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/registry/removal", is: "deleting the bytes that no file has", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/registry/tokens", is: "making, checking and revoking tokens", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/registry/versions", is: "the order of versions, and which one a range means", imports: []string{"module/store", "module/store/*"}, tests: suites},
	{folder: "module/registry/integrity", is: "damage, scrub, verify", imports: []string{"module/transfer", "module/store", "module/store/*"}, tests: engine},
	{folder: "module/access", is: "who may do what", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/journal/feed", is: "the changes of a journal, told while it is written", imports: []string{"module/journal", "module/directory", "module/disk", "module/store", "module/store/*"}},
	{folder: "module/journal/files", is: "the files of a journal by their names: which changes each has, and which none has", imports: []string{"module/disk", "module/store", "module/store/*"}},
	{folder: "module/journal/jsonl", is: "lines of a journal: changes as JSON, each chained to the one before", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/journal", is: "lines, chain, segments, checkpoints", imports: []string{"module/journal/files", "module/journal/jsonl", "module/disk", "module/store", "module/store/*"}, tests: slices.Concat(suites, []string{"module/blobs/packs", "module/blobs/packs/format"})},
	{folder: "module/directory", is: "a claimed directory, and whose it is", imports: []string{"module/disk", "module/store", "module/store/*"}},
	{folder: "module/directory/entries", is: "names in the directory of a store that survive a power cut", imports: []string{"module/directory", "module/disk", "module/store", "module/store/*"}},
	{folder: "module/directory/settings", is: "the settings of a store that is in a directory"},
	{folder: "module/disk", is: "the file system behind an interface", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/disk/disktest", is: "a disk that fails, for tests", imports: []string{"module/disk"}},
	{folder: everyTests, is: "the temporary directories of tests"},
	{folder: "module/transfer", is: "moving and hashing bytes", imports: []string{"module/store", "module/store/*"}},
	{folder: "module/store/search", is: "which names contain what is searched for", imports: []string{"module/store"}},
	{folder: "module/store/grant", is: "tokens, and what they grant", imports: []string{"module/store/naming", "module/store"}},
	{folder: "module/store/naming", is: "which names may be published, and which ones a pattern selects", imports: []string{"module/store"}},
	{folder: "module/store/remote", is: "the contract of a blob store on another machine", imports: []string{"module/store"}},
	{folder: "module/store/rounds", is: "a group commit: those who wait at one moment share the work"},
	{folder: "module/store/binding", is: "tying the two stores of a registry to each other", imports: []string{"module/store"}},
	{folder: "module/store/told", is: "the contract of a metadata store that tells all that it has", imports: []string{"module/store"}},
	{folder: "module/store/waiting", is: "how long a call of a store may take, and what is said meanwhile"},
	{folder: "module/gitea", is: "what Gitea's JSON says of packages and users"},
	{folder: "module/store", is: "the words and the contract of the two stores", tests: suites},
}

// everyTests is what the tests of any package may import.
const everyTests = "module/disk/tempdir"

var (
	belowIntegration = []string{".", "caddyfile", "module", "module/metadata/*", "module/metadata/postgres/postgrestest", "module/blobs/*", "module/registry", "module/registry/*", "module/store", "module/store/*"}

	// suites are what only tests may import.
	suites = []string{"module/disk/disktest", everyTests, "module/operate/client/clienttest", "module/metadata/postgres/postgrestest", "module/pool/pooltest", "module/storetest", "module/storetest/*"}

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
	GoFiles      []string
	// IgnoredGoFiles are those of other platforms, and tests of them.
	IgnoredGoFiles []string
	Error          *struct{ Err string }
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
	fields := "-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps,GoFiles,IgnoredGoFiles,Error"
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

// roomOf returns the room of a folder.
func roomOf(t *testing.T, folder string) room {
	t.Helper()
	for _, one := range rooms {
		if matches(folder, []string{one.folder}) {
			return one
		}
	}
	t.Errorf("package %s is in no room: say in the table of rooms, in one sentence, what belongs into it, and what it may import", folder)
	return room{folder: folder}
}

func TestImportsFlowOneWay(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform, func(t *testing.T) {
			for _, p := range list(t, platform, "./...") {
				in := roomOf(t, p.folder())
				checkImports(t, p, in, "imports", p.Imports, in.imports)
				checkImports(t, p, in, "imports in a test", slices.Concat(p.TestImports, p.XTestImports), slices.Concat(in.imports, in.tests, []string{everyTests}))
			}
		})
	}
}

func checkImports(t *testing.T, p listed, in room, how string, imports, allowed []string) {
	t.Helper()
	for _, imported := range imports {
		if !isOurs(imported) || imported == p.ImportPath {
			continue
		}
		if folder := folderOf(imported); !matches(folder, allowed) {
			other := roomOf(t, folder)
			t.Errorf("%s (%s) %s %s (%s), against the direction of imports: of ours it may import %v. Put what needs both into a room above both, and what both need into a room below both",
				p.folder(), in.is, how, folder, other.is, allowed)
		}
	}
}

// TestNoPackageIsTwoRooms: by its lines without tests.
func TestNoPackageIsTwoRooms(t *testing.T) {
	for _, p := range list(t, platforms[0], "./module/...", "./caddyfile") {
		if matches(p.folder(), suites) {
			continue
		}
		lines := 0
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			lines += strings.Count(readFile(t, filepath.Join("..", p.folder(), name)), "\n")
		}
		in := roomOf(t, p.folder())
		if most := cmp.Or(in.lines, usualLines); lines > most {
			t.Errorf("%s (%s) has %d lines, and may have %d: make a room of a part that one sentence describes", p.folder(), in.is, lines, most)
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
	const (
		backend     = "module/metadata/badger"
		compactions = backend + "/compactions"
	)
	var found bool
	for _, p := range list(t, platforms[0], "./...") {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if imported != badgerPath && !strings.HasPrefix(imported, badgerPath+"/") {
				continue
			}
			found = true
			if p.folder() != backend && p.folder() != compactions {
				t.Errorf("%s imports %s: only %s and what reads its manifest may, others go through store.MetadataStore", p.folder(), imported, backend)
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
