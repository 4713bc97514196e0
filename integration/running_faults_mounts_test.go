//go:build mounts

package integration

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// operationsOfRunning are those that an open store does on its metadata.
var operationsOfRunning = []string{"open", "rename", "unlink", "map", "sync", "statfs", "readdir", "truncate", "write"}

// slow is how long a system call takes that is slow.
const slow = 3 * time.Second

// TestSystemCallsOfRunning has system calls on the metadata fail under clients, at
// positions further and further away, take 3 seconds, and hang. Clients hear 503 or 507;
// shortage is never the server's own error; the other site answers; without the fault
// the registry works, everything acknowledged is there, nothing that was deleted is, and
// nothing was put aside. All cases are of one process and one store, so that a later one
// meets what an earlier one left.
// Seen to fail with the logs of memtables that could not be removed left to Badger.
func TestSystemCallsOfRunning(t *testing.T) {
	t.Parallel()
	s := newStation(t, 8)
	s.binary = mutant(t, smallTables...)
	s.start(s.config)
	stop := s.watchOther()
	for i, what := range faultsOfRunning() {
		isAlways := what.operation == "sync" && what.error == 0 // one of each kind
		if isLong() || isAlways || i%sampleOfRunning == 0 {
			s.run(t, what.String(), func() { s.tryRunning(what) })
		}
	}
	stop()
	s.stop()
	s.start(s.config)
	s.wantAllThere()
}

// sampleOfRunning: by default one in so many cases is run.
const sampleOfRunning = 63

// faultsOfRunning lists what may become of the calls.
func faultsOfRunning() (all []injection) {
	for at := 1; at <= 64; at *= 2 {
		for _, operation := range operationsOfRunning {
			for _, errno := range errorsOfDisks {
				for _, lasts := range []bool{false, true} {
					all = append(all, injection{operation: operation, error: errno, at: at, lasts: lasts})
				}
			}
		}
	}
	for _, operation := range operationsOfRunning {
		all = append(all, injection{operation: operation, at: 1, delay: slow}, injection{operation: operation, at: 1, hangs: true})
	}
	return all
}

// tryRunning is one case, in a process that has the registry.
func (s *station) tryRunning(what injection) {
	s.Helper()
	if s.process == nil {
		s.restore("")
		s.clients = newClients(s.writers)
		s.start(s.config)
	}
	v := s.strike(what)
	if what.hangs {
		v.workUntilLifted()
	} else {
		v.work()
	}
	if v.wantAlive() {
		v.read()
		v.wantNoDamage()
		v.lift()
		v.wantRunning()
	}
	v.report()
}

// workUntilLifted is work with a call that hangs until the other site has answered for a
// while.
func (v *verdict) workUntilLifted() {
	v.Helper()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		v.work()
	}()
	isOver := func() bool {
		select {
		case <-worked:
			return true
		default:
			return false
		}
	}
	eventuallyTrue(func() bool { return isOver() || v.interceptor.hits() > 0 })
	before := v.answered.Load()
	answers := eventuallyTrue(func() bool { return isOver() || v.answered.Load() > before+100 })
	v.lift()
	<-worked
	if !answers {
		v.complain("the other site does not answer while the call hangs")
	}
}

// work has the clients work until the fault was met and a little longer, or for a
// while when it is not met.
func (v *verdict) work() {
	v.Helper()
	var ownErrors atomic.Int64
	err := v.clients.try(func(h *history) error {
		h.expectFaults()
		for operations, after := 0, 0; operations < 400 && after < operationsAfter; operations++ {
			status, err := h.next(v.server)
			if err != nil {
				return err
			}
			switch status {
			case 0:
				return errors.New("a request is not answered")
			case http.StatusInternalServerError:
				ownErrors.Add(1)
			}
			if v.interceptor.hits() > 0 {
				after++
			}
		}
		return nil
	})
	if err != nil {
		v.complain("working: %v", err)
	}
	if count := ownErrors.Load(); count > 0 && (v.what.error == 0 || isShortage(v.what.error)) {
		v.complain("500 is answered %d times", count)
	}
}

// read reads everything: what is answered is right.
func (v *verdict) read() {
	v.Helper()
	err := v.clients.try(func(h *history) error {
		if _, err := h.look(v.server); err != nil && !errors.Is(err, errUnavailable) {
			return err
		}
		return nil
	})
	if err != nil {
		v.complain("reading under the fault: %v", err)
	}
}
