package badger

import (
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4/y"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/exit"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestBadgerDoesNotEndTheProcess: its statistics cannot be opened.
func TestBadgerDoesNotEndTheProcess(t *testing.T) {
	path := t.TempDir()
	if err := os.Mkdir(filepath.Join(path, discardFile), 0o700); err != nil {
		t.Fatal(err)
	}
	options := databaseOptions(path, databaseLog{discard, compactions.New(path), new(atomic.Int64), new(told)})
	_, err := openBadger(options, compactions.New(path))
	if !errors.Is(err, exit.Err) || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, errStuck) {
		t.Errorf("opening says %v", err)
	}
}

// TestOnlyBadgersEndIsSurvived: in a goroutine of its own, and with other messages.
func TestOnlyBadgersEndIsSurvived(t *testing.T) {
	var written strings.Builder
	defer log.SetOutput(log.Writer())
	log.SetOutput(&written)
	exit.Survive()
	exit.Survive()
	if s, ok := log.Writer().(exit.Survivor); !ok || s.Writer != io.Writer(&written) {
		t.Fatalf("the writer is %T", log.Writer())
	}
	log.Print("another message")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		y.Check(errors.New("no end"))
		t.Error("Badger goes on")
	}()
	<-ended
	if err := guard(func() error { y.Check(errors.New("caught")); return nil }); !errors.Is(err, exit.Err) {
		t.Errorf("under guard: %v", err)
	}
	for _, message := range []string{"another message", "no end", "caught"} {
		if !strings.Contains(written.String(), message) {
			t.Errorf("%q is not written: %s", message, written.String())
		}
	}
}
