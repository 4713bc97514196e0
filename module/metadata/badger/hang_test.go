package badger

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// TestABadgerThatHangs is reported while it hangs, not while it gets on, and the call's
// own end is what its caller hears.
// Seen to fail without the report of a hang.
func TestABadgerThatHangs(t *testing.T) {
	var log messages
	hangs := make(chan struct{})
	var once sync.Once
	ctx := waiting.WithProgress(t.Context(), func(p waiting.Progress) {
		if strings.Contains(p.Doing, "opening the database hangs") {
			once.Do(func() { close(hangs) })
		}
	})
	p := &home{hang: 10 * time.Millisecond, log: slog.New(&log)}
	refusal := errors.New("the database says no")
	err := p.attend(ctx, "opening the database", func() error {
		<-hangs
		return refusal
	})
	if err != refusal || p.stuck.Load() {
		t.Errorf("it says %v, stuck: %v", err, p.stuck.Load())
	}
	if !log.has("Badger hangs: a call shows no progress; if it stays so, restart Caddy") {
		t.Error("the log does not say so")
	}
	if err := p.attend(ctx, "opening the database", func() error { return errStuck }); !errors.Is(err, errStuck) || !p.stuck.Load() {
		t.Errorf("after it broke down: %v, stuck: %v", err, p.stuck.Load())
	}
}

// TestAMemtableWithoutRoomIsToldOnce, although it is tried after each transaction, and
// again after there was room.
// Seen to fail with each try told.
func TestAMemtableWithoutRoomIsToldOnce(t *testing.T) {
	var log messages
	d := newFullDisk(1 << 40)
	r := &space{path: t.TempDir(), fsys: d, log: slog.New(&log)}
	for round := 1; round <= 2; round++ {
		d.refuses.Store(true)
		for range 10 {
			r.next = ""
			r.followMemtable()
		}
		if got := log.count("reserving disk space for the next memtable"); got != round {
			t.Errorf("it was told %d times, want %d", got, round)
		}
		d.refuses.Store(false)
		r.followMemtable()
		if r.next == "" {
			t.Error("with room, no memtable is made")
		}
	}
}

// TestAPanicOfBadgerFailsTheDatabase, once and for all, in place of the process.
// Seen to fail without recovering in guard.
func TestAPanicOfBadgerFailsTheDatabase(t *testing.T) {
	db := mustOpenDatabase(t, t.TempDir())
	defer func() {
		if err := closeBadger(db); err != nil {
			t.Error(err)
		}
	}()
	told := 0
	db.failed = func(error) { told++ }
	var memtable *struct{ references int } // what Badger has after a rotation that failed
	err := db.touch(func() error { memtable.references++; return nil })
	if !errors.Is(err, errPanic) || !errors.Is(err, store.ErrUnavailable) || !db.hasFailed() {
		t.Errorf("it says %v, failed: %v", err, db.hasFailed())
	}
	if again := db.touch(func() error { t.Error("it is touched again"); return nil }); again != err || told != 1 {
		t.Errorf("then it says %v, and was told %d times", again, told)
	}
	if err := db.view(func(r reader) error { _, err := r.get(versionedKey, &idRecord{}); return err }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a read says %v", err)
	}
}
