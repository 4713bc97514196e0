package badger

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestFilesThatACrashLeftEmpty: a kill between making a file and sizing it must
// not keep the store from opening, nor cost a record.
func TestFilesThatACrashLeftEmpty(t *testing.T) {
	for _, names := range [][]string{{"00099.mem"}, {"000099.vlog"}, {"00099.mem", "00100.mem", "000099.vlog"}} {
		root := t.TempDir()
		s := mustOpen(t, root)
		if err := publishNumbered(s, "o", 1); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		for _, name := range names {
			writeFile(t, root, name, "")
		}
		again := mustOpen(t, root)
		ref := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: "f"}
		if _, err := again.Lookup(t.Context(), ref); err != nil {
			t.Errorf("with %v: %v", names, err)
		}
		if err := publishNumbered(again, "o", 2); err != nil {
			t.Errorf("with %v: %v", names, err)
		}
		mustClose(t, again)
	}
}
