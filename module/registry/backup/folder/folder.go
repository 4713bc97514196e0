// Package folder keeps a backup as files in a folder, which is brought up to date by
// increments, and gives it back as the stream that it was.
//
// An increment is written into the folder, a full backup beside what is there. Bytes and
// journal become durable first, and the head, which counts them, last. So a crash leaves
// the backup that was there, with files that no head counts. The next run removes the lines
// among them; bytes of an increment stay until a full backup. A full backup that has its
// head takes the place of the old one, folder by folder and its head last, which is done
// again after a crash.
package folder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	layout        = "generic_registry backup"
	layoutVersion = 1

	headFile         = "backup.json"
	endFile          = "end.json"
	damageFile       = "damaged.json"
	checkpointFolder = "checkpoint"
	journalFolder    = "journal"
	blobsFolder      = "blobs"

	// unfinished is the folder of a full backup until it takes the place of
	// the one that is there. With a head in it, it is the one that counts.
	unfinished = "unfinished"
)

// lineFolders are those with the lines of a backup, in their order.
var lineFolders = []string{checkpointFolder, journalFolder}

// folderHead is the head of a backup in a directory.
type folderHead struct {
	backup.Head
	// Whole says that all of it is there: a stream that someone unpacked has its end
	// for that.
	Whole bool `json:"whole"`
	// Damaged are the blobs that the backup lacks.
	Damaged []backup.DamagedBlob `json:"damaged,omitempty"`
}

// Folder is a directory for one backup, which increments make larger.
type Folder struct {
	path  string
	fsys  disk.FS
	claim *directory.Claim
	head  folderHead
	whole bool // it has a backup, with that head
}

// Take claims a directory, which is made if need be, and finishes
// what an interrupted command left nearly done.
func Take(path string) (*Folder, error) {
	claim, err := directory.Take(path, layout, layoutVersion)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another backup is being made to %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot have a backup: %w", path, err)
	}
	d := &Folder{path: claim.Path, fsys: disk.OS{}, claim: claim}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, claim.Release())
	}
	return d, nil
}

func (d *Folder) open() (err error) {
	if err := d.promote(); err != nil {
		return err
	}
	d.head, d.whole, err = readHead(d.path)
	if err == nil && d.whole && d.head.Since != (store.Position{}) {
		return fmt.Errorf("%s has a part of a backup, which cannot be brought up to date", d.path)
	}
	return err
}

// Position is where the backup that the directory has ends. Zero when it has none.
func (d *Folder) Position() store.Position {
	if !d.whole {
		return store.Position{}
	}
	return d.head.Position
}

// Lacking are the blobs that the backup lacks: those that were damaged when it was made, or
// an increment of it, and that no later increment brought.
func (d *Folder) Lacking() []backup.DamagedBlob { return d.head.Damaged }

func (d *Folder) Release() error { return d.claim.Release() }

// readHead reads the head of the backup in a directory. One that is not whole
// is none.
func readHead(path string) (head folderHead, whole bool, err error) {
	text, err := os.ReadFile(filepath.Join(path, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return head, false, nil
	}
	if err != nil {
		return head, false, fmt.Errorf("reading the head of the backup: %w", err)
	}
	if err := backup.ParseHead(text, &head); err != nil {
		return head, false, fmt.Errorf("%s: %w", path, err)
	}
	return head, head.Whole, nil
}

// Unpack writes a backup into the directory: a full one beside what is there, an
// increment into it. Nothing counts before its head is there.
func (d *Folder) Unpack(ctx context.Context, reader *backup.Reader, count func(size int64)) error {
	head := reader.Head()
	u := &unpacking{fsys: d.fsys, into: d.path, made: make(map[string]bool), lacking: make(map[store.Digest]backup.DamagedBlob)}
	var before backup.Totals // there already
	switch {
	case head.Since == (store.Position{}):
		u.into = filepath.Join(d.path, unfinished)
		if err := os.RemoveAll(u.into); err != nil {
			return fmt.Errorf("removing an unfinished backup: %w", err)
		}
	case !d.whole || head.Store != d.head.Store || head.Since != d.head.Position:
		return fmt.Errorf("%w: the server sent changes since %d", store.ErrNotContinued, head.Since.Sequence)
	default:
		u.lack(d.head.Damaged)
		before = d.head.Expected
	}
	lines, err := u.writeLines(reader)
	if err != nil {
		return err
	}
	content := readFiles(lines)
	defer content.Close()
	if err := reader.CopyBlobs(ctx, content, func(_ context.Context, blob store.Blob, content io.Reader) error {
		return u.writeBlob(blob, content, count)
	}); err != nil {
		return err
	}
	if err := u.sync(); err != nil {
		return err
	}
	u.lack(reader.Damaged())
	d.head = folderHead{Head: head, Whole: true, Damaged: slices.SortedFunc(maps.Values(u.lacking), func(a, b backup.DamagedBlob) int {
		return bytes.Compare(a.Digest[:], b.Digest[:])
	})}
	d.head.Since, d.head.Incomplete = store.Position{}, len(d.head.Damaged) > 0
	d.head.Expected = head.Expected.Plus(before)
	d.head.Head = d.head.Seal()
	if err := d.writeHead(u.into); err != nil {
		return err
	}
	d.whole = true
	return d.promote()
}

func (d *Folder) writeHead(into string) error {
	text, err := json.MarshalIndent(d.head, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the head of the backup: %w", err)
	}
	return disk.WriteFile(d.fsys, filepath.Join(into, headFile), string(text)+"\n")
}

// promote puts a full backup that is done in the place of the one that was there.
// After a crash between its steps it is done again.
func (d *Folder) promote() error {
	unfinished := filepath.Join(d.path, unfinished)
	if _, done, err := readHead(unfinished); err != nil || !done {
		return err
	}
	for _, name := range []string{checkpointFolder, journalFolder, blobsFolder} {
		from, to := filepath.Join(unfinished, name), filepath.Join(d.path, name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue // it is there already
		}
		if err := os.RemoveAll(to); err != nil {
			return fmt.Errorf("removing the old backup: %w", err)
		}
		if err := d.fsys.Rename(from, to); err != nil {
			return fmt.Errorf("putting the new backup in place: %w", err)
		}
	}
	if err := d.fsys.SyncDirectory(d.path); err != nil {
		return fmt.Errorf("putting the new backup in place: %w", err)
	}
	if err := disk.Place(d.fsys, filepath.Join(unfinished, headFile), filepath.Join(d.path, headFile)); err != nil {
		return fmt.Errorf("putting the new backup in place: %w", err)
	}
	return os.RemoveAll(unfinished)
}
