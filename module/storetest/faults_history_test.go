package storetest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var (
	historyFile  = ref("a", "p", "1", "f")
	historyOther = ref("a", "p", "1", "g")
	errDamaged   = fmt.Errorf("reading: %w", store.ErrDamaged)
)

// TestHistoryKnowsWhatMayBe: after some outcomes, which reads are allowed.
func TestHistoryKnowsWhatMayBe(t *testing.T) {
	published := func(err error) func(h *faultHistory) error {
		return func(h *faultHistory) error { return h.published(historyFile, "x", err) }
	}
	deleted := func(err error) func(h *faultHistory) error {
		return func(h *faultHistory) error { return h.deleted(err, historyFile) }
	}
	quarantined := func(err error) func(h *faultHistory) error {
		return func(h *faultHistory) error { h.quarantined("x", err); return nil }
	}
	for _, test := range []struct {
		name    string
		unclear bool
		done    []func(h *faultHistory) error
		wrong   bool // the last outcome is not one that can be
		// What a read may give.
		x, missing, damaged bool
	}{
		{name: "nothing", missing: true},
		{name: "published", done: in(published(nil)), x: true},
		{name: "published twice", done: in(published(nil), published(nil)), wrong: true, x: true},
		{name: "refused because it exists", done: in(published(nil), published(store.ErrExists)), x: true},
		{name: "refused because it exists, and it does not", done: in(published(store.ErrExists)), wrong: true, missing: true},
		{name: "refused on a full disk", unclear: true, done: in(published(store.ErrNoSpace)), wrong: true, missing: true},
		{name: "a publish failed", done: in(published(syscall.EIO)), wrong: true, missing: true},
		{name: "a publish failed, which may have happened", unclear: true, done: in(published(syscall.EIO)), wrong: true, x: true, missing: true},
		{name: "a publish failed, and it exists", unclear: true, done: in(published(syscall.EIO), published(store.ErrExists)), x: true},
		{name: "a publish failed, and succeeds", unclear: true, done: in(published(syscall.EIO), published(nil)), x: true},
		{name: "deleted", done: in(published(nil), deleted(nil)), missing: true},
		{name: "deleted, and it was not there", done: in(deleted(nil)), wrong: true, missing: true},
		{name: "missing, and it was there", done: in(published(nil), deleted(store.ErrFileNotFound)), wrong: true, x: true},
		{name: "a delete failed", done: in(published(nil), deleted(syscall.EIO)), wrong: true, x: true},
		{name: "a delete failed, which may have happened", unclear: true, done: in(published(nil), deleted(syscall.EIO)), wrong: true, x: true, missing: true},
		{name: "a delete failed, and it is missing", unclear: true, done: in(published(nil), deleted(syscall.EIO), deleted(store.ErrPackageNotFound)), missing: true},
		{name: "quarantined", done: in(published(nil), quarantined(nil)), damaged: true},
		{name: "a quarantine failed", done: in(published(nil), quarantined(syscall.EIO)), x: true, damaged: true},
		{name: "quarantined, deleted and published again", done: in(published(nil), quarantined(nil), deleted(nil), published(nil)), x: true},
		{name: "quarantined, and healing it failed", unclear: true, done: in(published(nil), quarantined(nil), deleted(nil), published(syscall.EIO)),
			wrong: true, x: true, missing: true, damaged: true},
		{name: "quarantined again while healing it is open", unclear: true, done: in(published(nil), quarantined(nil), deleted(nil), published(syscall.EIO), quarantined(nil)),
			x: true, missing: true, damaged: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newFaultHistory(test.unclear)
			var last error
			for _, do := range test.done {
				last = do(h)
			}
			if (last != nil) != test.wrong {
				t.Errorf("the last outcome: %v", last)
			}
			for _, read := range []struct {
				name    string
				err     error
				allowed bool
			}{
				{"x", nil, test.x},
				{"y", nil, false},
				{absent, store.ErrPackageNotFound, test.missing},
				{absent, store.ErrFileNotFound, test.missing},
				{absent, errDamaged, test.damaged},
				{absent, syscall.EIO, false},
			} {
				if err := h.read(historyFile, read.name, read.err); (err == nil) != read.allowed {
					t.Errorf("reading %q, %v: %v", read.name, read.err, err)
				}
			}
		})
	}
}

func in(done ...func(h *faultHistory) error) []func(h *faultHistory) error { return done }

// TestHistoryOfAVersion: a delete of which the outcome is open happened to all of
// its files or to none.
func TestHistoryOfAVersion(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, last error // of reading
		half        bool
	}{
		{"both are left", nil, nil, false},
		{"none is left", store.ErrPackageNotFound, store.ErrPackageNotFound, false},
		{"the first is left", nil, store.ErrFileNotFound, true},
		{"the last is left", store.ErrFileNotFound, nil, true},
		{"the bytes of the last are in quarantine", store.ErrFileNotFound, errDamaged, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newFaultHistory(true)
			err := errors.Join(h.published(historyFile, "x", nil), h.published(historyOther, "y", nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.deleted(syscall.EIO, h.refsOf(historyFile.VersionRef)...); !errors.Is(err, syscall.EIO) {
				t.Fatalf("error is %v", err)
			}
			h.settle(historyFile, "x", test.first)
			h.settle(historyOther, "y", test.last)
			if err := h.checkPending(); (err != nil) != test.half {
				t.Errorf("error is %v", err)
			}
		})
	}
}
