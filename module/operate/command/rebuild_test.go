package command

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func (c *commandTest) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// metadata is a file of the metadata.
func (c *commandTest) metadata(name string) string { return filepath.Join(c.root, "metadata", name) }

// journal is the name of the segment that a journal of few changes has, and its lines.
func (c *commandTest) journal() (name string, lines [][]byte) {
	c.Helper()
	found, err := filepath.Glob(c.metadata("journal/*.jsonl"))
	if err != nil || len(found) != 1 {
		c.Fatalf("segments: %v, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	c.must(err)
	return found[0], slices.Collect(bytes.Lines(text))
}

// cut leaves the journal so many changes, as a power cut does.
func (c *commandTest) cut(changes int) {
	c.Helper()
	name, lines := c.journal()
	c.must(os.WriteFile(name, bytes.Join(lines[:1+changes], nil), 0o600))
}

// putAside are the directories of files that a rebuild replaced.
func (c *commandTest) putAside() []string {
	c.Helper()
	found, err := filepath.Glob(c.metadata("damaged-*"))
	c.must(err)
	return found
}

// TestRebuildTakesLinesOfPacks: the journal lacks changes since a power cut, which small files
// have. The database has all of them, or as few as the journal.
// Seen to fail with metadata that are rebuilt without the blob store.
func TestRebuildTakesLinesOfPacks(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		behind    bool
		says      string
	}{
		"a database of a journal that was cut": {[]string{"rebuild"}, false, "the database is rebuilt: 4 changes"},
		"a database that was behind it":        {[]string{"rebuild"}, true, "the database is rebuilt: 4 changes"},
		"a journal of a database that has all": {[]string{"rebuild", "--journal"}, false, "the journal is rebuilt: 4 changes"},
		"a journal of a database as old":       {[]string{"rebuild", "--journal"}, true, "the journal is rebuilt: 4 changes"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCommandTest(t)
			c.publish(0, 2)
			early := c.path("early")
			c.must(os.CopyFS(early, os.DirFS(c.metadata(""))))
			c.publish(2, 4)
			c.cut(3)
			if test.behind {
				c.must(os.RemoveAll(filepath.Join(early, "journal")))
				c.must(os.Rename(c.metadata("journal"), filepath.Join(early, "journal")))
				c.must(os.RemoveAll(c.metadata("")))
				c.must(os.Rename(early, c.metadata("")))
			}
			if out := c.mustRun(append(test.arguments, "--root", c.root)...); !strings.Contains(out, test.says) {
				t.Errorf("got %q, want %q", out, test.says)
			}
			if len(c.putAside()) != 1 {
				t.Errorf("put aside are %v, want what was replaced", c.putAside())
			}
			c.want(c.root)
		})
	}
}

// unreadable is a backend of blobs whose lines of a journal cannot be read until they are
// forgotten.
type unreadable struct{ filesystem.Backend }

func (*unreadable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "generic_registry.blobs.unreadable", New: func() caddy.Module { return new(unreadable) }}
}

func (u *unreadable) OpenBlobs(ctx context.Context, root string, log *slog.Logger) (store.BlobStore, error) {
	blobs, err := u.Backend.OpenBlobs(ctx, root, log)
	if err != nil {
		return nil, err
	}
	return &unreadableLines{Store: blobs.(*filesystem.Store)}, nil
}

type unreadableLines struct {
	*filesystem.Store
	forgotten bool
}

func (u *unreadableLines) Carried(string, uint64, string) ([]byte, error) {
	if u.forgotten {
		return nil, nil
	}
	return nil, fmt.Errorf("%w: lines: %w", store.ErrUnavailable, syscall.EIO)
}

func (u *unreadableLines) Forget() error {
	u.forgotten = true
	return nil
}

func init() { caddy.RegisterModule(new(unreadable)) }

// withUnreadable is a configuration of the registry whose blobs are unreadable.
func (c *commandTest) withUnreadable() (name string) {
	c.Helper()
	name = c.path("config.json")
	c.must(os.WriteFile(name, fmt.Appendf(nil, `{"handler": "generic_registry", "root": %q, "blobs": {"module": "unreadable"}}`, c.root), 0o600))
	return name
}

// TestRebuildRefuses what would lose changes, and leaves the registry as it is. It is whole once
// what is in the way is gone.
// Seen to fail with a blob store that is opened after the rebuild, with any error that passes for
// no blob store, and with a database that nobody looks at.
func TestRebuildRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		blobs string // in place of the directory; "" for none, "." for the directory itself
		says  string
	}{
		"lines that cannot be read":                {".", "asking for lines that the journal may lack"},
		"a directory of blobs that cannot be read": {"a file", "not a directory"},
		"a database that is ahead, and no blobs":   {"", "the database has 4 changes and the journal 3: run `caddy generic-registry rebuild --journal`"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCommandTest(t)
			c.publish(0, 4)
			c.cut(3)
			blobs, where := filepath.Join(c.root, "blobs"), []string{"--root", c.root}
			if test.blobs == "." {
				where = []string{"--config", c.withUnreadable()}
			} else {
				c.must(os.Rename(blobs, c.path("away")))
			}
			if test.blobs == "a file" {
				c.must(os.WriteFile(blobs, nil, 0o600))
			}
			_, before := c.journal()
			out, notes, err := c.run(append(where, "rebuild")...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q\n%s%s", err, test.says, out, notes)
			}
			if _, after := c.journal(); len(after) != len(before) || len(c.putAside()) > 0 {
				t.Errorf("the journal has %d lines and put aside are %v, want %d and nothing", len(after), c.putAside(), len(before))
			}
			if test.blobs != "." {
				c.must(os.RemoveAll(blobs))
				c.must(os.Rename(c.path("away"), blobs))
			}
			c.mustRun("rebuild", "--root", c.root)
			c.want(c.root)
		})
	}
}

// TestRebuildOfTheJournalDoesWithoutLines that cannot be read: the database has their changes.
func TestRebuildOfTheJournalDoesWithoutLines(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 4)
	c.cut(3)
	if out := c.mustRun("rebuild", "--journal", "--config", c.withUnreadable()); !strings.Contains(out, "the journal is rebuilt: 4 changes") {
		t.Errorf("got %q, want 4 changes", out)
	}
	c.want(c.root)
}
