package removal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func mustTake(t *testing.T, h *hold) (release func()) {
	t.Helper()
	release, err := h.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestNoBatchBeginsDuringABackup(t *testing.T) {
	var h hold
	first, second := mustTake(t, &h), mustTake(t, &h)
	for _, release := range []func(){first, second} {
		if h.begin() {
			t.Error("a batch begins while a backup runs")
		}
		release()
	}
	for range 2 {
		if !h.begin() {
			t.Fatal("no batch begins after the backups")
		}
	}
	h.end()
	h.end()
}

func TestABackupWaitsForBatchesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hold
		h.begin()
		h.begin()
		held := make(chan struct{})
		go func() {
			defer close(held)
			defer mustTake(t, &h)()
		}()
		for range 2 {
			synctest.Wait()
			select {
			case <-held:
				t.Fatal("the backup does not wait")
			default:
			}
			h.end()
		}
		<-held
		if !h.begin() {
			t.Error("no batch begins after the backup")
		}
		h.end()
	})
}

func TestABackupThatGivesUpHoldsNothing(t *testing.T) {
	var h hold
	h.begin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	h.end()
	if !h.begin() {
		t.Error("no batch begins")
	}
}
