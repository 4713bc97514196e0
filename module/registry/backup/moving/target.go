package moving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	layout        = "generic_registry copy"
	layoutVersion = 1

	// sourceFile has the ID of the registry that is copied.
	sourceFile = "SOURCE"
)

// Target is where a registry is copied to.
type Target struct {
	// Root of the registry, as the backends know it. It has the folder backup.CopyMark until the
	// copy is done.
	Root string
	// Metadata is a JournalBackend or an Importer.
	Metadata store.MetadataBackend
	Blobs    store.BlobBackend
	// Vacant is an error where the target has something that no copy made.
	Vacant func() error
	// Log is what the stores log to.
	Log *slog.Logger
	// Progress is called now and then, by one goroutine at a time. Nil is never.
	Progress func(Progress)
}

// Copy is a copy in progress. It belongs to one goroutine.
type Copy struct {
	Target
	claim   *directory.Claim
	source  string          // the ID of the registry, empty when nobody knows it yet
	blobs   store.BlobStore // nil until a pass
	present backup.LocatorSet
	arrived backup.LocatorSet
}

// Begin begins a copy, or goes on with one. ErrLocked when another process is at it. What
// Target.Vacant says when the target has something that no copy made.
func Begin(target Target) (*Copy, error) {
	mark := filepath.Join(target.Root, backup.CopyMark)
	if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) {
		if err := target.Vacant(); err != nil {
			return nil, err
		}
	}
	if err := directory.Make(target.Root); err != nil {
		return nil, directory.OrPermission(fmt.Errorf("making the root: %w", err))
	}
	claim, err := directory.Take(mark, layout, layoutVersion)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another copy to %s is in progress: %w", target.Root, err)
	}
	if err != nil {
		return nil, directory.OrPermission(err)
	}
	c := &Copy{Target: target, claim: claim, arrived: make(backup.LocatorSet)}
	text, err := os.ReadFile(filepath.Join(claim.Path, sourceFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("reading what is copied: %w", err), claim.Release())
	}
	c.source = strings.TrimSpace(string(text))
	return c, nil
}

// errOther: the target has a part of another registry.
func (c *Copy) errOther() error {
	return fmt.Errorf("%w: %s has a part of a copy of another registry: delete what is in there and in the target's stores, or name another target", store.ErrMismatch, c.Root)
}

// open opens the blobs of the target, once, and finds out what they have.
func (c *Copy) open(ctx context.Context, source string) error {
	if c.source != "" && c.source != source {
		return c.errOther()
	}
	if c.blobs != nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(c.claim.Path, sourceFile), []byte(source+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing what is copied: %w", err)
	}
	c.source = source
	blobs, err := c.Blobs.OpenBlobs(ctx, c.Root, c.Log)
	if err != nil {
		return fmt.Errorf("opening the blobs of the target: %w", err)
	}
	c.blobs, c.present = blobs, make(backup.LocatorSet)
	// Before any bytes: no server with another store will take them for its own.
	if err := blobs.Bind(ctx, source); err != nil {
		return fmt.Errorf("binding the blobs of the target: %w", err)
	}
	err = blobs.Walk(ctx, func(locator store.Locator, _ int64, _ time.Time) error {
		c.present.Add(locator)
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for what the target has: %w", err)
	}
	return nil
}

// Finish makes the names of the target out of the lines of the last pass, which was of all that
// a stopped registry has, and compares both. Lacking are the blobs that are to be left out.
func (c *Copy) Finish(ctx context.Context, from Opened, lacking []backup.DamagedBlob) (sums Sums, err error) {
	if err := c.closeBlobs(); err != nil {
		return sums, err
	}
	_, err = backup.Restore(ctx, backup.RestoreTarget{
		Root: c.Root, Metadata: c.Metadata, Blobs: c.Blobs, Spool: c.claim.Path, Log: c.Log, Lacking: lacking, GoOn: true,
	}, backup.RestoreSource{Name: "the names", Open: func() (io.ReadCloser, error) { return os.Open(c.linesName()) }})
	if err != nil {
		return sums, err
	}
	made, err := c.Metadata.OpenMetadata(ctx, c.Root, c.Log)
	if err != nil {
		return sums, fmt.Errorf("opening the metadata of the target: %w", err)
	}
	sums, err = compare(ctx, from.Metadata(), made)
	if err = errors.Join(err, made.Close()); err != nil {
		return sums, err
	}
	// The last step: from here on servers take the target.
	if err := errors.Join(c.claim.Release(), os.RemoveAll(c.claim.Path)); err != nil {
		return sums, fmt.Errorf("removing the folder of the copy: %w", err)
	}
	return sums, nil
}

func (c *Copy) closeBlobs() error {
	if c.blobs == nil {
		return nil
	}
	blobs := c.blobs
	c.blobs = nil
	if err := blobs.Close(); err != nil {
		return fmt.Errorf("closing the blobs of the target: %w", err)
	}
	return nil
}

// Close ends a copy, of which the target keeps what it has.
func (c *Copy) Close() error { return errors.Join(c.closeBlobs(), c.claim.Release()) }
