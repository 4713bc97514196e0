package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/generic-registry/caddy-generic-registry/module/operate/target"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"

	// The stores that the tests' registries have.
	_ "github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	_ "github.com/generic-registry/caddy-generic-registry/module/metadata/badger"
)

var quiet = slog.New(slog.DiscardHandler)

func fileRef(name string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: name}
}

// commandTest is a registry on disk that no server has open.
type commandTest struct {
	testing.TB
	dir, root string
	published map[store.Ref]string
}

func newCommandTest(t testing.TB) *commandTest {
	dir := t.TempDir()
	return &commandTest{TB: t, dir: dir, root: filepath.Join(dir, "root"), published: make(map[store.Ref]string)}
}

func (c *commandTest) path(name string) string { return filepath.Join(c.dir, name) }

// run runs a command as the binary does and returns what it prints.
func (c *commandTest) run(arguments ...string) (out, notes string, err error) {
	return c.runWith(nil, arguments...)
}

func (c *commandTest) runWith(in io.Reader, arguments ...string) (out, notes string, err error) {
	c.Helper()
	root := &cobra.Command{Use: "generic-registry"}
	addCommands(root)
	var outText, notesText bytes.Buffer
	root.SetIn(in)
	root.SetOut(&outText)
	root.SetErr(&notesText)
	root.SetArgs(arguments)
	err = root.ExecuteContext(context.Background())
	return outText.String(), notesText.String(), err
}

func (c *commandTest) mustRun(arguments ...string) (out string) {
	c.Helper()
	out, notes, err := c.run(arguments...)
	if err != nil {
		c.Fatalf("%v: %v\n%s%s", arguments, err, out, notes)
	}
	return out
}

// with opens the registry at a root for a while.
func (c *commandTest) with(root string, do func(*registry.Registry) error) {
	c.Helper()
	meant := &target.Target{Root: root}
	config, err := meant.Stopped(quiet)
	if err != nil {
		c.Fatal(err)
	}
	reg, err := config.Open(c.Context(), registry.Options{Log: quiet, Idle: true})
	if err != nil {
		c.Fatal(err)
	}
	if err := errors.Join(do(reg), reg.Close()); err != nil {
		c.Fatal(err)
	}
}

// publish publishes files with contents of their own, numbered from one to another.
func (c *commandTest) publish(from, to int) {
	c.Helper()
	c.with(c.root, func(reg *registry.Registry) error {
		for i := from; i < to; i++ {
			ref, content := fileRef(fmt.Sprint("f", i)), strings.Repeat(fmt.Sprint("content ", i), 1+i*i*100)
			c.published[ref] = content
			_, err := reg.Publish(c.Context(), ref, "alice", registry.Content{Body: strings.NewReader(content), Size: int64(len(content))}, registry.Limits{})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// want compares the registry at a root with what was published.
func (c *commandTest) want(root string) {
	c.Helper()
	c.with(root, func(reg *registry.Registry) error {
		for ref, want := range c.published {
			_, content, err := reg.Open(c.Context(), ref)
			if err != nil {
				return fmt.Errorf("%v: %w", ref, err)
			}
			got, err := io.ReadAll(content)
			if err = errors.Join(err, content.Close()); err != nil {
				return err
			}
			if string(got) != want {
				c.Errorf("%v has %d bytes, want %d", ref, len(got), len(want))
			}
		}
		return nil
	})
}

// wantRestored restores backups to a new root and compares it.
func (c *commandTest) wantRestored(backups ...string) {
	c.Helper()
	root, err := os.MkdirTemp(c.dir, "restored-")
	if err != nil {
		c.Fatal(err)
	}
	c.mustRun(append([]string{"restore", "--root", root}, backups...)...)
	c.want(root)
}

// filesBelow lists the regular files below a directory, by their names there.
func filesBelow(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// flipBit damages a file.
func flipBit(t testing.TB, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err == nil {
		content[len(bytes.TrimRight(content, "\x00"))-1] ^= 1 // of a pack it is one of the last blob
		err = os.WriteFile(name, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// largestBlob is the path of a blob's file below a directory.
func largestBlob(t testing.TB, dir string) (name string) {
	t.Helper()
	var size int64
	for _, found := range filesBelow(t, dir) {
		info, err := os.Stat(filepath.Join(dir, found))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > size {
			name, size = filepath.Join(dir, found), info.Size()
		}
	}
	return name
}

func TestHelpOfEveryCommand(t *testing.T) {
	c := newCommandTest(t)
	for command, says := range map[string][]string{
		"backup":  {"--full", "--offline", "--skip-damaged", "backup.json", "exit status is 0", "Examples:"},
		"restore": {"--root", "must be empty or not exist", "Examples:"},
		"rebuild": {"--journal", "moves the old", "Examples:"},
		"verify":  {"--rate", "--offline", "quarantine", "exit status is 0", "Examples:"},
	} {
		out := c.mustRun(command, "--help")
		for _, want := range says {
			if !strings.Contains(out, want) {
				t.Errorf("help of %s does not say %q", command, want)
			}
		}
	}
}

// TestNothingIsMadeWhereNoRegistryIs: a root that was mistyped stays as it is.
func TestNothingIsMadeWhereNoRegistryIs(t *testing.T) {
	c := newCommandTest(t)
	if err := os.MkdirAll(c.path("other/metadata"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{c.path("none"), c.path("other")} {
		for _, arguments := range [][]string{
			{"backup", "-", "--offline"}, {"verify", "--offline"}, {"rebuild"}, {"rebuild", "--journal"},
		} {
			_, notes, err := c.run(append(arguments, "--root", root)...)
			if err == nil || !strings.Contains(notes, "there is no registry") {
				t.Errorf("%v at %s: %v\n%s", arguments, root, err, notes)
			}
		}
	}
	if left := filesBelow(t, c.dir); len(left) > 0 {
		t.Errorf("there are files now: %q", left)
	}
	if _, err := os.Stat(c.path("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root is there: %v", err)
	}
	for _, arguments := range [][]string{{"backup", "-", "--offline"}, {"verify", "--offline"}, {"rebuild"}, {"restore", "x"}} {
		if _, notes, err := c.run(arguments...); err == nil || !strings.Contains(notes, "--root") {
			t.Errorf("%v without a root: %v\n%s", arguments, err, notes)
		}
	}
}

// TestCommandsOfAnOpenRegistry say that a server has it, and what to do.
func TestCommandsOfAnOpenRegistry(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 1)
	c.with(c.root, func(*registry.Registry) error {
		for _, test := range []struct {
			arguments []string
			says      string
		}{
			{[]string{"backup", "-", "--offline"}, "leave --offline out"},
			{[]string{"verify", "--offline"}, "leave --offline out"},
			{[]string{"rebuild"}, "stop the server first"},
			{[]string{"rebuild", "--journal"}, "stop the server first"},
		} {
			_, notes, err := c.run(append(test.arguments, "--root", c.root)...)
			if err == nil || !strings.Contains(notes, test.says) || !strings.Contains(notes, "a server has this registry open") {
				t.Errorf("%v: %v\n%s", test.arguments, err, notes)
			}
		}
		return nil
	})
}

func TestStoresWithDirectoriesOfTheirOwn(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 3)
	c.mustRun("backup", c.path("backup"), "--offline", "--root", c.root)
	config := c.path("config.json")
	text := fmt.Sprintf(`{"routes": [{"handle": [{"handler": "generic_registry", "root": %q, "metadata": {"module": "badger", "dir": %q}, "blobs": {"module": "filesystem", "dir": %q}}]}]}`,
		c.path("unused"), c.path("m"), c.path("b"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
	dirs := []string{"--config", config}
	c.mustRun(append([]string{"restore", c.path("backup")}, dirs...)...)
	c.mustRun(append([]string{"verify", "--offline"}, dirs...)...)
	c.mustRun(append([]string{"rebuild"}, dirs...)...)
	c.mustRun(append([]string{"backup", c.path("again"), "--offline"}, dirs...)...)
	c.wantRestored(c.path("again"))
	if left := filesBelow(t, c.path("unused")); len(left) > 0 {
		t.Errorf("the root has %q", left)
	}
	if _, notes, err := c.run(append([]string{"restore", c.path("backup")}, dirs...)...); err == nil || !strings.Contains(notes, "not empty") {
		t.Errorf("restoring there again: %v\n%s", err, notes)
	}
}
