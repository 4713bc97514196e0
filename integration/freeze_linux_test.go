package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// freeze stops a process and waits until each of its threads is stopped. One that
// is in a system call stops when that is over: so from then on no write and no sync
// is in progress, and what the process said before is all that it will ever say.
func freeze(t testing.TB, process int) {
	t.Helper()
	if err := unix.Kill(process, unix.SIGSTOP); err != nil {
		t.Fatalf("stopping process: %v", err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !isFrozen(t, process) {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("process %d does not stop", process)
		}
	}
}

func isFrozen(t testing.TB, process int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", process))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of process %d: %v", process, err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return false // it has just ended
		}
		// number (name) state: T is stopped by a signal
		if i := strings.LastIndex(string(text), ") "); i < 0 || text[i+2] != 'T' {
			return false
		}
	}
	return true
}
