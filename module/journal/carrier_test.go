package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs"
	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var _ Carrier = (*packs.Store)(nil)

// carried is a journal with packs that carry its lines.
type carried struct {
	*Journal
	packs   *packs.Store
	options Options
}

// Packs that are soon full of blobs, and such that are soon full of lines.
var (
	fewBlobs = format.Layout{Slots: 128, Blocks: 9, Lines: 4 << 10, Step: 16 << 10, Open: 2}
	fewLines = format.Layout{Slots: 128, Blocks: 100, Lines: 4 << 10, Step: 128 << 10, Open: 2}
)

// openCarried opens both below a directory, and makes the journal if it is not there.
func openCarried(root string, fsys disk.FS, layout format.Layout) (c carried, err error) {
	if err := os.MkdirAll(filepath.Join(root, "packs"), 0o700); err != nil {
		return c, err
	}
	if c, err = openToRead(root, fsys, layout, false); errors.Is(err, os.ErrNotExist) {
		c.Journal, err = Create(filepath.Join(root, "journal"), "ID", c.options)
	}
	if err == nil {
		err = c.Begin()
	}
	if err != nil && c.packs != nil {
		err = errors.Join(err, c.packs.Close())
	}
	return c, err
}

// openToRead opens both, and writes nothing.
func openToRead(root string, fsys disk.FS, layout format.Layout, readOnly bool) (c carried, err error) {
	log := slog.New(slog.DiscardHandler)
	c.packs, err = packs.Open(filepath.Join(root, "packs"), packs.Options{
		FS: fsys, Log: log, HasRoom: func(int64) bool { return true }, IsThere: func() error { return nil }, Layout: layout, ReadOnly: readOnly,
	})
	if err != nil {
		return c, err
	}
	c.options = Options{FS: fsys, Log: log, SegmentSize: 6000, Inline: true, Carrier: c.packs}
	c.Journal, err = Open(filepath.Join(root, "journal"), c.options)
	return c, err
}

func (c carried) close() error { return errors.Join(c.Journal.Close(), c.packs.Close()) }

// publish puts bytes into a pack, or names some that are elsewhere.
func (c carried) publish(t *testing.T, i int) (store.Locator, error) {
	locator := store.NewLocator(1)
	if i%11 != 7 {
		var err error
		if locator, err = c.packs.Put(t.Context(), contentOf(i)); err != nil {
			return "", err
		}
	}
	return locator, c.append(store.OperationPublish, i, locator)
}

func (c carried) remove(i int, locator store.Locator) error {
	err := c.append(store.OperationDeleteFile, i, "")
	if err == nil && format.Owns(locator) {
		err = c.packs.Delete(locator)
	}
	return err
}

func (c carried) append(operation store.Operation, i int, locator store.Locator) error {
	_, err := c.Append([]store.Change{{
		Operation: operation, Time: time.Unix(int64(i), 0).UTC(), Owner: "o", Package: "p", Version: fmt.Sprint(i), File: "f",
		Locator: locator, Size: int64(len(contentOf(i))),
	}})
	return err
}

// names returns the files that the journal tells of, and where their bytes are.
func (c carried) names(t *testing.T) map[int]store.Locator {
	t.Helper()
	names := make(map[int]store.Locator)
	err := c.Read(t.Context(), store.Position{}, c.Position().Sequence, func(_ []byte, change store.Change, _ store.Digest) error {
		i := int(change.Time.Unix())
		if names[i] = change.Locator; change.Locator == "" {
			delete(names, i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func contentOf(i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d,", i), 200+900*(i%4)))
}

// TestASmallPublishTakesOneSync: bytes and line are durable in one sync of the pack, and the
// journal is not synced, unless the lines of a pack are full, or a pack is new and the journal
// lacks lines of the one before.
func TestASmallPublishTakesOneSync(t *testing.T) {
	root := t.TempDir()
	fsys := disktest.New(root, disktest.Fault{})
	c, err := openCarried(root, fsys, fewBlobs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // the journal is synced for the first two
		if _, err := c.publish(t, 4*i); err != nil {
			t.Fatal(err)
		}
	}
	before := len(fsys.Operations())
	if _, err := c.publish(t, 12); err != nil {
		t.Fatal(err)
	}
	var syncs []string
	for _, operation := range fsys.Operations()[before:] {
		if operation.Kind == disktest.Sync {
			syncs = append(syncs, operation.Name)
		}
	}
	if want := []string{"packs/0000001"}; !slices.Equal(syncs, want) {
		t.Errorf("a publish synced %q, want %q", syncs, want)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// TestEachPublishSurvivesAPowerCut that comes right after it, of which the disk has written
// nothing but what was synced.
// Seen to fail with lines that begin anew before the journal has those in their place, or those
// of the pack before.
func TestEachPublishSurvivesAPowerCut(t *testing.T) {
	for name, layout := range map[string]format.Layout{"few blobs": fewBlobs, "few lines": fewLines} {
		for publishes := range 40 {
			root := t.TempDir()
			fsys := disktest.New(root, disktest.Fault{})
			c, err := openCarried(root, fsys, layout)
			if err != nil {
				t.Fatal(err)
			}
			for i := range publishes {
				// So that what is published is staged in each pack.
				if _, err := c.packs.Put(t.Context(), contentOf(4*i)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.publish(t, i); err != nil {
					t.Fatal(err)
				}
			}
			if err := fsys.PowerCut(); err != nil {
				t.Fatal(err)
			}
			if c, err = openCarried(root, disktest.New(root, disktest.Fault{}), layout); err != nil {
				t.Fatal(err)
			}
			if names := c.names(t); len(names) != publishes {
				t.Errorf("with %s, %d of %d publishes survive\n%s", name, len(names), publishes, fsys.Log(0))
			}
			if err := c.close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestAnAcknowledgedPublishSurvives a fault at any operation of both stores, and a power cut,
// of which the disk has written any part of what was not synced. What is named has its bytes.
// Seen to fail with lines that are not adopted, or adopted although their bytes are torn; with
// lines whose pack is not synced, at once or when it is full; with a pack that carries lines
// before the journal has those of the pack before, or those that were in the same place; with a
// segment that is sealed before it is synced; with lines that stay after a failed sync; with a
// line that names a blob that was lost in an earlier sync.
func TestAnAcknowledgedPublishSurvives(t *testing.T) {
	every, seeds := 50, 4
	if os.Getenv("GENERIC_REGISTRY_LONG") != "" {
		every, seeds = 1, 6
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			tried := seed
			quiet := trouble{seed: seed}
			for operation := range quiet.run(t, t.TempDir()).Operations() {
				for _, mode := range []disktest.Mode{disktest.Fail, disktest.Done, disktest.CrashBefore, disktest.CrashAfter} {
					if tried++; tried%every == 0 {
						trouble{disktest.Fault{Operation: operation + 1, Mode: mode, Err: syscall.EIO}, seed}.run(t, t.TempDir())
					}
				}
			}
		})
	}
}

// trouble is a fault. The seed says what is done, and what the disk has written when the power
// is cut.
type trouble struct {
	fault disktest.Fault
	seed  int
}

func (w trouble) open(root string, fsys disk.FS) (carried, error) {
	return openCarried(root, fsys, w.layout())
}

func (w trouble) layout() format.Layout {
	if w.seed%2 == 0 {
		return fewBlobs
	}
	return fewLines
}

func (w trouble) run(t *testing.T, root string) *disktest.FS {
	t.Helper()
	fsys := disktest.New(root, w.fault)
	there, unclear := w.work(t, root, fsys)
	dice := rand.New(rand.NewPCG(uint64(w.seed), uint64(w.fault.Operation)))
	often := dice.IntN(4) // never, sometimes, often, or always
	if err := fsys.PowerCutAfter(func(int) bool { return dice.IntN(3) < often }); err != nil {
		t.Fatal(err)
	}
	seen := w.read(t, root)
	for range 2 { // the second time after a clean stop
		c, err := w.open(root, disktest.New(root, disktest.Fault{})) // quick: it syncs nothing
		if err != nil {
			t.Fatalf("%+v: opening: %v\n%s", w, err, fsys.Log(0))
		}
		names := c.names(t)
		if seen != nil && !maps.Equal(seen, names) {
			t.Fatalf("%+v: what is only read has files %v, what is opened %v", w, seen, names)
		}
		seen = nil
		for i, locator := range names {
			if !format.Owns(locator) {
				continue
			}
			if got, err := c.packs.Read(locator, int64(len(contentOf(i)))); err != nil || string(got) != string(contentOf(i)) {
				t.Fatalf("%+v: file %d is named, and its bytes are %d others: %v\n%s", w, i, len(got), err, fsys.Log(0))
			}
		}
		for i, is := range there {
			if _, named := names[i]; !unclear[i] && named != is {
				t.Fatalf("%+v: file %d is there: %t, want %t\n%s", w, i, named, is, fsys.Log(0))
			}
		}
		if _, err := c.publish(t, 1000); err != nil {
			t.Errorf("%+v: publishing afterwards: %v", w, err)
		}
		there[1000] = true
		if err := c.close(); err != nil {
			t.Errorf("%+v: closing: %v", w, err)
		}
	}
	return fsys
}

// read returns the files that are there for who writes nothing.
func (w trouble) read(t *testing.T, root string) map[int]store.Locator {
	t.Helper()
	c, err := openToRead(root, readOnly{}, w.layout(), true)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatalf("%+v: opening to read: %v", w, err)
	}
	defer c.close()
	names, err := c.Files()
	for _, name := range names {
		damage, failed := c.Verify(t.Context(), name, func(int) error { return nil })
		if damage != nil {
			t.Errorf("%+v: %s is damaged: %v", w, name, damage.Err)
		}
		err = errors.Join(err, failed)
	}
	if err != nil {
		t.Errorf("%+v: verifying: %v", w, err)
	}
	if err := c.Seal(); !errors.Is(err, ErrUnclear) {
		t.Errorf("%+v: sealing what is only read: %v", w, err)
	}
	return c.names(t)
}

// readOnly is a disk on which nothing may be changed.
type readOnly struct{ disk.FS }

// work publishes and deletes until the machine crashes, or there is no more to do. It returns
// what has to be there, and of what that is not known.
func (w trouble) work(t *testing.T, root string, fsys *disktest.FS) (there, unclear map[int]bool) {
	there, unclear = make(map[int]bool), make(map[int]bool)
	c, err := w.open(root, fsys)
	for range 3 {
		if err != nil && !fsys.Crashed() {
			c, err = w.open(root, fsys)
		}
	}
	if err != nil {
		if w.fault.Operation == 0 {
			t.Fatal(err)
		}
		return there, unclear
	}
	defer c.close() // on a machine that has crashed it fails
	locators := make(map[int]store.Locator)
	note := func(i int, locator store.Locator, err error) {
		if there[i], locators[i] = err == nil, locator; err != nil {
			unclear[i] = true
			w.recover(t, c, fsys, err)
		}
	}
	for i := range 30 {
		late, lateErr := store.Locator(""), error(nil) // what another publish overtakes
		if i%3 == 1 {
			late, lateErr = c.packs.Put(t.Context(), contentOf(100+i))
		}
		locator, err := c.publish(t, i)
		note(i, locator, err)
		if late != "" && i%6 == 1 {
			lateErr = c.append(store.OperationPublish, 100+i, late)
		}
		if late != "" || lateErr != nil {
			note(100+i, late, lateErr)
		}
		if late != "" && i%6 != 1 { // it comes to nothing
			there[100+i] = false
			if err := c.packs.Delete(late); err != nil {
				w.recover(t, c, fsys, err)
			}
		}
		if i%6 != 5 || w.seed%4 >= 2 {
			continue
		}
		for _, old := range []int{i - 5, i - 4, i - 3} {
			if !there[old] {
				continue
			}
			there[old] = false
			if err := c.remove(old, locators[old]); err != nil {
				unclear[old] = true
				w.recover(t, c, fsys, err)
			}
		}
	}
	return there, unclear
}

// recover opens the journal again after an error, as a store does. It takes nothing before.
func (w trouble) recover(t *testing.T, c carried, fsys *disktest.FS, err error) {
	t.Helper()
	if !fsys.Struck() {
		t.Fatalf("%+v: without a fault: %v\n%s", w, err, fsys.Log(0))
	}
	if !errors.Is(err, ErrUnclear) || fsys.Crashed() {
		return
	}
	if err := c.append(store.OperationDeleteFile, 0, ""); !errors.Is(err, ErrUnclear) {
		t.Fatalf("%+v: the journal takes a change before it was opened again: %v", w, err)
	}
	if err := c.Reopen(); err != nil {
		t.Fatalf("%+v: reopening: %v\n%s", w, err, fsys.Log(0))
	}
}

// TestLinesOutliveTheBlobsOfTheirPack: a pack in which all blobs are deleted stays while the
// journal may lack the lines that the pack carries.
// Seen to fail with a pack that is removed then.
func TestLinesOutliveTheBlobsOfTheirPack(t *testing.T) {
	root := t.TempDir()
	fsys := disktest.New(root, disktest.Fault{})
	c, err := openCarried(root, fsys, fewBlobs)
	if err != nil {
		t.Fatal(err)
	}
	put := func(size int) store.Locator {
		locator, err := c.packs.Put(t.Context(), make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		return locator
	}
	blobs := []store.Locator{put(100), put(100)}
	elsewhere := store.NewLocator(1)
	for i, locator := range []store.Locator{blobs[0], blobs[1], elsewhere} { // the third is carried
		blobs = append(blobs, put(100))
		if err := c.append(store.OperationPublish, i, locator); err != nil {
			t.Fatal(err)
		}
	}
	put(9 * format.BlockSize) // begins another pack
	for _, locator := range blobs {
		if err := c.packs.Delete(locator); err != nil {
			t.Fatal(err)
		}
	}
	put(9 * format.BlockSize) // makes the names of packs durable
	if err := fsys.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if c, err = openCarried(root, disk.OS{}, fewBlobs); err != nil {
		t.Fatal(err)
	}
	if names := c.names(t); names[2] != elsewhere {
		t.Errorf("the journal tells of %v, without what its lines named last", names)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

// TestBytesOfAdoptedLinesAreSynced before the journal has the lines: a kill came before their
// sync, or after it failed, so that a later one of what is read might not reach the disk.
// Seen to fail with bytes that are read and not written again.
func TestBytesOfAdoptedLinesAreSynced(t *testing.T) {
	first := func(fsys *disktest.FS, name string) int {
		return slices.IndexFunc(fsys.Operations(), func(o disktest.Operation) bool {
			return o.Kind == disktest.Sync && strings.HasPrefix(o.Name, name)
		})
	}
	run := func(root string, fault disktest.Fault) *disktest.FS {
		fsys := disktest.New(root, fault)
		c, err := openCarried(root, fsys, fewBlobs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if _, err := c.publish(t, i); err != nil && !fsys.Crashed() {
				t.Fatal(err)
			}
		}
		_ = c.close() // on a machine that has crashed it fails
		return fsys
	}
	operations := run(t.TempDir(), disktest.Fault{}).Operations()
	sync := len(operations)
	for sync--; operations[sync].Kind != disktest.Sync || !strings.HasPrefix(operations[sync].Name, "packs"); sync-- {
	}
	root := t.TempDir()
	run(root, disktest.Fault{Operation: sync + 1, Mode: disktest.CrashBefore}).Kill()
	fsys := disktest.New(root, disktest.Fault{})
	c, err := openCarried(root, fsys, fewBlobs)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Position().Sequence; got != 4 {
		t.Errorf("the journal has %d changes, want 4", got)
	}
	if bytes, lines := first(fsys, "packs/"), first(fsys, "journal/"); bytes < 0 || bytes > lines {
		t.Errorf("the pack is synced by operation %d, and the journal by %d:\n%s", bytes, lines, fsys.Log(0))
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}
