package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal/files"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAnAppendChangesBytesAlone, and not the size of the file, while there is filler. Readers
// of JSON take the filler for nothing, a kill leaves it, and closing cuts it off.
// Seen to fail with no filler, with filler that closing leaves, with filler that is taken for
// what a crash left, and with filler at which Salvage says that there may be more.
func TestAnAppendChangesBytesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	name := filepath.Join(path, files.Segment{First: 1}.Name())
	read := func() []byte {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	j := mustCreate(t, path, options(0))
	if text := read(); !bytes.HasSuffix(text, []byte("}\n")) {
		t.Errorf("a journal without a change ends with %q", text[len(text)-1:])
	}
	fill(t, j, 1, 1)
	before := len(read())
	fill(t, j, 20, 1)
	text := read()
	if len(text) != before || before < fillerStep {
		t.Errorf("with 20 changes the file has %d bytes, with 1 it had %d", len(text), before)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	values := 0
	for ; ; values++ {
		var value map[string]any
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if values != 21 {
		t.Errorf("the file has %d values, want a header and 20 changes", values)
	}
	if end, left, err := Salvage(path, testStore, store.Position{}, nil, func([]byte, store.Change, store.Digest) error { return nil }); err != nil || left != nil || end != j.Position() {
		t.Errorf("salvaged up to %d: %v, %v", end.Sequence, left, err)
	}

	// As a kill leaves it.
	var log strings.Builder
	o := options(0)
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	again := mustOpen(t, path, o)
	if err := again.Begin(); err != nil || again.Position() != j.Position() {
		t.Errorf("opened at %d, want %d: %v", again.Position().Sequence, j.Position().Sequence, err)
	}
	if log.Len() > 0 {
		t.Errorf("opening says %s", log.String())
	}
	fill(t, again, 30, 7)
	wantChanges(t, again, 0, 30)
	mustClose(t, again)
	if text := read(); !bytes.HasSuffix(text, []byte("}\n")) {
		t.Errorf("a journal that is closed ends with %q", text[len(text)-1:])
	}
	mustClose(t, j) // which has another file by now
}

// TestFillerFollowsAWriteThatFailed: what was cut off took the filler with it.
// Seen to fail with a journal that goes on as if the filler were there.
func TestFillerFollowsAWriteThatFailed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	fault := new(faultyDisk)
	o := options(0)
	o.FS = fault
	j := mustCreate(t, path, o)
	fill(t, j, 5, 1)
	*fault = faultyDisk{write: errors.New("input/output error")}
	if _, err := j.Append([]store.Change{change(6)}); err == nil || errors.Is(err, ErrUnclear) {
		t.Fatalf("error is %v", err)
	}
	*fault = faultyDisk{}
	fill(t, j, 6, 1)
	info, err := os.Stat(filepath.Join(path, files.Segment{First: 1}.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if want := j.size + fillerStep; info.Size() != want {
		t.Errorf("the file has %d bytes, want %d", info.Size(), want)
	}
	wantChanges(t, j, 0, 6)
	mustClose(t, j)
}

// TestASegmentIsFilledToItsEnd and not beyond.
func TestASegmentIsFilledToItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	o := Options{FS: disk.OS{}, Log: slog.New(slog.DiscardHandler), SegmentSize: 2000}
	j := mustCreate(t, path, o)
	fill(t, j, 1, 1)
	info, err := os.Stat(filepath.Join(path, files.Segment{First: 1}.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != 2000 {
		t.Errorf("a segment of 2000 bytes has %d", info.Size())
	}
	fill(t, j, 40, 3)
	wantChanges(t, j, 0, 40)
	mustClose(t, j)
}
