package integration

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runIn runs a client in a directory of its own, with a home there, and returns what it
// printed.
func runIn(t *testing.T, dir, name string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "HOME="+dir)
	output, err := command.CombinedOutput()
	return string(output), err
}

func mustRunIn(t *testing.T, dir, name string, arguments ...string) {
	t.Helper()
	if output, err := runIn(t, dir, name, arguments...); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, arguments, err, output)
	}
}

func writeIn(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func readIn(t *testing.T, dir, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestAptReadsAFlatRepository: it asks for paths with a dot in them.
func TestAptReadsAFlatRepository(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	const control = "Package: hreg\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: a package\n"
	writeIn(t, dir, "hreg/DEBIAN/control", control)
	mustRunIn(t, dir, "dpkg-deb", "--build", "hreg", "hreg_1.0_all.deb")
	content := readIn(t, dir, "hreg_1.0_all.deb")
	published := s.put(filePath("alice", "debs", "1", "hreg_1.0_all.deb"), []byte(content))
	s.put(filePath("alice", "debs", "1", "Packages"), fmt.Appendf(nil, "%sFilename: ./hreg_1.0_all.deb\nSize: %d\nSHA256: %s\n", control, len(content), strings.Trim(published.header.Get("ETag"), `"`)))
	sources := writeIn(t, dir, "sources.list", fmt.Sprintf("deb [trusted=yes] http://127.0.0.1:%d%s/ ./\n", s.port, versionPath("alice", "debs", "1")))
	writeIn(t, dir, "status", "")
	for _, made := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, made), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := []string{"-o", "Dir::State=" + dir + "/state", "-o", "Dir::State::status=" + dir + "/status", "-o", "Dir::Cache=" + dir + "/cache",
		"-o", "Dir::Etc::sourcelist=" + sources, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User=root"}
	if err := os.Remove(filepath.Join(dir, "hreg_1.0_all.deb")); err != nil {
		t.Fatal(err)
	}
	mustRunIn(t, dir, "apt-get", append(options, "update")...)
	mustRunIn(t, dir, "apt-get", append(options, "download", "hreg")...)
	if got := readIn(t, dir, "hreg_1.0_all.deb"); got != content {
		t.Errorf("got %d bytes, want the %d published", len(got), len(content))
	}
}

// TestPipInstallsAWheelByItsURL, and is told of one that is not there.
func TestPipInstallsAWheelByItsURL(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	const name = "hreg-1.0-py3-none-any.whl"
	s.put(filePath("alice", "wheels", "1.0", name), wheel(t))
	install := func(url string) (string, error) {
		return runIn(t, dir, "/usr/bin/python3", "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--no-index", "--retries=0", "--target=installed", url)
	}
	if output, err := install(address(s, filePath("alice", "wheels", "1.0", name))); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got, want := readIn(t, dir, "installed/hreg.py"), "word = 'hello'\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	output, err := install(address(s, filePath("alice", "wheels", "2.0", name)))
	if err == nil || !strings.Contains(output, "404") {
		t.Errorf("of a version that is not there: %v, want a failure that says 404\n%s", err, output)
	}
}

// wheel is hreg 1.0, a package for Python.
func wheel(t testing.TB) []byte {
	t.Helper()
	var made bytes.Buffer
	packed := zip.NewWriter(&made)
	for _, file := range [][2]string{
		{"hreg.py", "word = 'hello'\n"},
		{"hreg-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hreg\nVersion: 1.0\n"},
		{"hreg-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"hreg-1.0.dist-info/RECORD", "hreg.py,,\nhreg-1.0.dist-info/METADATA,,\nhreg-1.0.dist-info/WHEEL,,\nhreg-1.0.dist-info/RECORD,,\n"},
	} {
		in, err := packed.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return made.Bytes()
}

// TestPipFindsAWheelInAFolder, by the links of its plain list.
func TestPipFindsAWheelInAFolder(t *testing.T) {
	t.Parallel()
	s := startServer(t, "browse")
	dir := t.TempDir()
	s.put(filePath("alice", "wheels", "1.0", "hreg-1.0-py3-none-any.whl"), wheel(t))
	install := func(wanted string) (string, error) {
		return runIn(t, dir, "/usr/bin/python3", "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--no-index", "--retries=0",
			"--target=installed", "--find-links="+address(s, versionPath("alice", "wheels", "1.0"))+"/", wanted)
	}
	if output, err := install("hreg"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got, want := readIn(t, dir, "installed/hreg.py"), "word = 'hello'\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if output, err := install("hreg>1.0"); err == nil {
		t.Errorf("of a version that is in no folder: success, want a failure\n%s", output)
	}
}

// TestNpmInstallsATarballByItsURL, and is told of one that may not be read.
func TestNpmInstallsATarballByItsURL(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir := t.TempDir()
	var tarball bytes.Buffer
	compressed := gzip.NewWriter(&tarball)
	packed := tar.NewWriter(compressed)
	for _, file := range [][2]string{
		{"package/package.json", `{"name":"hreg","version":"1.0.0","main":"index.js"}`},
		{"package/index.js", "module.exports = 'hello'\n"},
	} {
		if err := packed.WriteHeader(&tar.Header{Name: file[0], Size: int64(len(file[1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	path := filePath("alice", "npm", "1.0.0", "hreg-1.0.0.tgz")
	s.put(path, tarball.Bytes())
	install := func(url string) (string, error) {
		return runIn(t, dir, "npm", "install", "--prefix=installed", "--cache=cache", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0", url)
	}
	if output, err := install(address(s, path)); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got, want := readIn(t, dir, "installed/node_modules/hreg/index.js"), "module.exports = 'hello'\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.want(http.StatusNoContent, http.MethodDelete, path, "alice", nil)
	output, err := install(address(s, path))
	if err == nil || !strings.Contains(output, "404") {
		t.Errorf("of a tarball that was deleted: %v, want a failure that says 404\n%s", err, output)
	}
}

func address(s *server, path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path)
}
