package disktest_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
)

func TestPowerCuts(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(b *bench)
		after string
	}{
		{"nothing is done", func(*bench) {}, start},
		{"a new file, nothing synced", func(b *bench) { b.write("x", "1") }, start},
		{"a new file, synced without its name", func(b *bench) { b.must(b.write("x", "1").Sync()) }, start},
		{"a new file, its name synced alone", func(b *bench) { b.write("x", "1"); b.sync("") }, start + " x="},
		{"a new file, synced with its name", func(b *bench) { b.must(b.write("x", "1").Sync()); b.sync("") }, start + " x=1"},
		{"another directory is synced", func(b *bench) { b.must(b.write("x", "1").Sync()); b.sync("d") }, start},
		{"a write after the sync", func(b *bench) {
			file := b.write("x", "12")
			b.must(file.Sync())
			b.more(file, "34")
			b.sync("")
		}, start + " x=12"},
		{"an append, not synced", func(b *bench) { b.appendTo("d/old", "er") }, start},
		{"an append, synced", func(b *bench) { b.must(b.appendTo("d/old", "er").Sync()) }, "d/ d/old=older empty/"},
		{"a truncation, not synced", func(b *bench) { b.must(b.appendTo("d/old", "").Truncate(1)) }, start},
		{"two truncations and an append, not synced", func(b *bench) {
			file := b.appendTo("d/old", "er")
			b.must(errors.Join(file.Truncate(2), file.Truncate(1)))
			b.more(file, "ff")
		}, start},
		{"a truncation and an append, synced", func(b *bench) {
			file := b.appendTo("d/old", "")
			b.must(file.Truncate(1))
			b.must(b.more(file, "ff").Sync())
		}, "d/ d/old=off empty/"},
		{"a rename, not synced", func(b *bench) { b.rename("d/old", "d/new") }, start},
		{"a rename in a directory, synced", func(b *bench) { b.rename("d/old", "d/new"); b.sync("d") }, "d/ d/new=old empty/"},
		{"a rename, the new directory synced", func(b *bench) { b.rename("d/old", "x"); b.sync("") }, start + " x=old"},
		{"a rename, the old directory synced", func(b *bench) { b.rename("d/old", "x"); b.sync("d") }, "d/ empty/"},
		{"a rename, both synced", func(b *bench) { b.rename("d/old", "x"); b.sync("", "d") }, "d/ empty/ x=old"},
		{"a rename there and back", func(b *bench) { b.rename("d/old", "x"); b.rename("x", "d/old") }, start},
		{"a rename of what was never synced", func(b *bench) { b.write("d/new", "1"); b.rename("d/new", "d/x"); b.sync("d") }, "d/ d/old=old d/x= empty/"},
		{"a replacement, not synced", func(b *bench) { b.must(b.write("x", "1").Sync()); b.rename("x", "d/old") }, start},
		{"a replacement, synced", func(b *bench) { b.must(b.write("d/x", "1").Sync()); b.rename("d/x", "d/old"); b.sync("d") }, "d/ d/old=1 empty/"},
		{"a removal, not synced", func(b *bench) { b.remove("d/old") }, start},
		{"a removal, synced", func(b *bench) { b.remove("d/old"); b.sync("d") }, "d/ empty/"},
		{"a removal of what has bytes that are not synced", func(b *bench) { b.appendTo("d/old", "er"); b.remove("d/old") }, start},
		{"a removal and another file of that name, not synced", func(b *bench) {
			b.remove("d/old")
			b.must(b.write("d/old", "1").Sync())
		}, start},
		{"a file removed before its name was synced", func(b *bench) { b.write("x", "1"); b.remove("x"); b.sync("") }, start},
		{"a new directory with a durable file, not synced itself", func(b *bench) {
			b.mkdir("n")
			b.must(b.write("n/x", "1").Sync())
			b.sync("n")
		}, start},
		{"a new directory, synced, its file not", func(b *bench) { b.mkdir("n"); b.sync(""); b.must(b.write("n/x", "1").Sync()) }, start + " n/"},
		{"a new directory, all synced", func(b *bench) {
			b.mkdir("n")
			b.must(b.write("n/x", "1").Sync())
			b.sync("", "n")
		}, start + " n/ n/x=1"},
		{"a directory is emptied and removed, not synced", func(b *bench) { b.remove("d/old"); b.remove("d") }, start},
		{"a directory is emptied and removed, synced below", func(b *bench) { b.remove("d/old"); b.sync("d"); b.remove("d") }, "d/ empty/"},
		{"a directory is emptied and removed, synced above", func(b *bench) { b.remove("d/old"); b.remove("d"); b.sync("") }, "empty/"},
		{"a directory is removed and made anew, not synced", func(b *bench) {
			b.remove("d/old")
			b.remove("d")
			b.mkdir("d")
			b.must(b.write("d/x", "1").Sync())
			b.sync("d")
		}, start},
		{"a directory is removed and made anew with a file of the old name, not synced", func(b *bench) {
			b.remove("d/old")
			b.remove("d")
			b.mkdir("d")
			b.must(b.write("d/old", "1").Sync())
		}, start},
		{"a directory is removed and made anew, synced above", func(b *bench) { b.remove("d/old"); b.remove("d"); b.mkdir("d"); b.sync("") }, "d/ empty/"},
		{"an edit, not synced", func(b *bench) { b.must(b.put(b.edit("d/old"), "xyz", 2).Punch(0, 1)) }, start},
		{"an edit, synced", func(b *bench) { b.must(b.put(b.edit("d/old"), "xyz", 2).Sync()) }, "d/ d/old=olxyz empty/"},
		{"a hole, synced", func(b *bench) { file := b.edit("d/old"); b.must(errors.Join(file.Punch(0, 2), file.Sync())) }, "d/ d/old=\x00\x00d empty/"},
		{"an edit after the sync", func(b *bench) {
			file := b.put(b.edit("d/old"), "O", 0)
			b.must(file.Sync())
			b.put(file, "D", 2)
		}, "d/ d/old=Old empty/"},
		{"an edit, synced by another opening", func(b *bench) { b.put(b.edit("d/old"), "O", 0); b.must(b.edit("d/old").Sync()) }, "d/ d/old=Old empty/"},
		{"a cut of an edited file, not synced", func(b *bench) { b.must(b.edit("d/old").Truncate(1)) }, start},
		{"a cut of an edited file, synced", func(b *bench) { file := b.edit("d/old"); b.must(errors.Join(file.Truncate(1), file.Sync())) }, "d/ d/old=o empty/"},
		{"a removal of an edited file, not synced", func(b *bench) { b.put(b.edit("d/old"), "O", 0); b.remove("d/old") }, start},
		{"a file was open", func(b *bench) { b.write("d/x", "1"); b.sync("d") }, "d/ d/old=old d/x= empty/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, disktest.Fault{})
			test.do(b)
			b.must(b.PowerCut())
			if got := b.tree(); got != test.after {
				t.Errorf("there is %s; want %s", got, test.after)
			}
			if _, err := b.Create(b.at("y")); !errors.Is(err, disktest.ErrCrashed) {
				t.Errorf("an operation after it: %v", err)
			}
		})
	}
}

// TestWhatASyncLostStaysLost: a kernel drops what it could not write, and says so
// once.
func TestWhatASyncLostStaysLost(t *testing.T) {
	for _, test := range []struct {
		name   string
		failed int
		do     func(b *bench) error
		after  string
	}{
		{"bytes, synced again", 3, func(b *bench) error {
			file := b.appendTo("d/old", "1")
			return errors.Join(file.Sync(), b.more(file, "2").Sync())
		}, start},
		{"bytes, cut off and written again", 3, func(b *bench) error {
			file := b.appendTo("d/old", "1")
			return errors.Join(file.Sync(), file.Truncate(3), b.more(file, "2").Sync())
		}, "d/ d/old=old2 empty/"},
		{"a name, synced again", 2, func(b *bench) error {
			b.mkdir("x")
			return errors.Join(b.SyncDirectory(b.root), b.SyncDirectory(b.root))
		}, start},
		{"an edit, synced again", 3, func(b *bench) error {
			file := b.put(b.edit("d/old"), "O", 0)
			return errors.Join(file.Sync(), b.put(file, "D", 2).Sync())
		}, "d/ d/old=olD empty/"},
		{"an edit, of which another opening has the sync that fails", 5, func(b *bench) error {
			file, other := b.edit("d/old"), b.edit("d/old")
			b.put(file, "O", 0)
			b.put(other, "D", 2)
			if err := other.Sync(); !errors.Is(err, syscall.EIO) {
				return err
			}
			return file.Sync()
		}, start},
		{"a name, removed and made again", 2, func(b *bench) error {
			b.mkdir("x")
			return errors.Join(b.SyncDirectory(b.root), b.Remove(b.at("x")), b.MakeDirectory(b.at("x")), b.SyncDirectory(b.root))
		}, start + " x/"},
		{"a name, and another one later", 2, func(b *bench) error {
			b.mkdir("x")
			return errors.Join(b.SyncDirectory(b.root), b.MakeDirectory(b.at("y")), b.SyncDirectory(b.root))
		}, start + " y/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, disktest.Fault{Operation: test.failed, Mode: disktest.Fail, Err: syscall.EIO})
			if err := test.do(b); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error is %v; %s", err, b.Log(0))
			}
			b.must(b.PowerCut())
			if got := b.tree(); got != test.after {
				t.Errorf("there is %s; want %s", got, test.after)
			}
		})
	}
}

// TestWriteFileIsOneStep: whatever happens during disk.WriteFile, the file has one
// text or the other, and the new one when it returned nil.
func TestWriteFileIsOneStep(t *testing.T) {
	probe := newBench(t, disktest.Fault{})
	probe.must(disk.WriteFile(probe, probe.at("d/old"), "new"))
	operations := len(probe.Operations())
	if operations < 6 {
		t.Fatalf("only %d operations: %s", operations, probe.Log(0))
	}
	for number := 1; number <= operations+1; number++ {
		for _, mode := range []disktest.Mode{disktest.Fail, disktest.Short, disktest.Done, disktest.CrashBefore, disktest.CrashAfter} {
			b := newBench(t, disktest.Fault{Operation: number, Mode: mode, Err: syscall.ENOSPC})
			err := disk.WriteFile(b, b.at("d/old"), "new")
			if (err == nil) != (number > operations) {
				t.Errorf("operation %d, mode %d: error is %v\n%s", number, mode, err, b.Log(0))
			}
			b.must(b.PowerCut())
			text, readErr := os.ReadFile(b.at("d/old"))
			if readErr != nil || (string(text) != "new" && (err == nil || string(text) != "old")) {
				t.Errorf("operation %d, mode %d: %v, then it has %q, %v\n%s", number, mode, err, text, readErr, b.Log(0))
			}
		}
	}
}

// TestANewFileIsThereForGoodOrNotAtAll: after an error of disk.WriteNewFile nobody finds a
// file whose name may be lost. Seen to fail with a file that stays when its name cannot be
// synced.
func TestANewFileIsThereForGoodOrNotAtAll(t *testing.T) {
	probe := newBench(t, disktest.Fault{})
	probe.must(disk.WriteNewFile(probe, probe.at("d/new"), "new"))
	for number := range probe.Operations() {
		for _, mode := range []disktest.Mode{disktest.Fail, disktest.Short, disktest.Done} {
			b := newBench(t, disktest.Fault{Operation: number + 1, Mode: mode, Err: syscall.EIO})
			if err := disk.WriteNewFile(b, b.at("d/new"), "new"); err == nil {
				t.Errorf("operation %d, mode %d: no error\n%s", number+1, mode, b.Log(0))
			}
			if _, err := os.Stat(b.at("d/new")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("operation %d, mode %d: the file is there, %v\n%s", number+1, mode, err, b.Log(0))
			}
		}
	}
}

// TestAPowerCutMayComeAfterSomeWrites: a disk writes what no sync followed in any order, and
// each sector as it was after some write.
func TestAPowerCutMayComeAfterSomeWrites(t *testing.T) {
	for _, test := range []struct {
		name    string
		written int // of three changes; the first and the last are of one sector
		want    string
	}{
		{"the first", 0, "Old"},
		{"the second, in a sector of its own", 1, "old" + strings.Repeat("\x00", 1021) + "N"},
		{"the third, and so the first", 2, "OlD"},
	} {
		b := newBench(t, disktest.Fault{})
		file := b.edit("d/old")
		b.put(file, "O", 0)
		b.put(file, "N", 1024)
		b.put(file, "D", 2)
		b.must(b.PowerCutAfter(func(change int) bool { return change == test.written }))
		if got, want := b.tree(), "d/ d/old="+test.want+" empty/"; got != want {
			t.Errorf("after %s there is %q; want %q", test.name, got, want)
		}
	}
}
