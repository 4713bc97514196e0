//go:build mounts

package integration

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The states in which a store is opened.
const (
	stateNew     = "new"
	stateClosed  = "closed"
	stateKilled  = "killed"
	stateMissing = "without its database"
)

var statesOfOpening = []string{stateNew, stateClosed, stateKilled, stateMissing}

// TestSystemCallsOfOpening has every system call of an opening on the metadata fail,
// once and from then on, and one of each kind take 3 seconds, and hang. The load succeeds, what cannot be served is refused, the
// other site answers; without the fault everything is there and nothing put aside.
func TestSystemCallsOfOpening(t *testing.T) {
	t.Parallel()
	for i, state := range statesOfOpening {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, 2)
			s.prepare(state)
			s.start(s.without)
			stop := s.watchOther()
			count := 0
			for _, what := range s.faultsOfOpening(state) {
				if count++; !isLong() && (count+i)%sampleOfOpening != 0 {
					continue
				}
				s.run(t, what.String(), func() { s.tryOpening(state, what) })
			}
			stop()
			t.Logf("%d system calls", count)
		})
	}
}

// sampleOfOpening: by default one in so many cases is run.
const sampleOfOpening = 48

// prepare makes a store in a state.
func (s *station) prepare(state string) {
	s.Helper()
	if state == stateNew {
		return
	}
	s.start(s.config)
	work := func() {
		s.clients.each(s, func(h *history) error { return h.operate(s.server, 60) })
	}
	work()
	s.stop()
	if state != stateClosed {
		s.start(s.config)
		work()
		s.kill()
	}
	if state == stateMissing {
		for _, pattern := range []string{"*.mem", "*.sst", "*.vlog", "MANIFEST", "DISCARD", "KEYREGISTRY"} {
			names, err := filepath.Glob(filepath.Join(s.metadata, pattern))
			if err != nil {
				s.Fatal(err)
			}
			for _, name := range names {
				if err := os.Remove(name); err != nil {
					s.Fatal(err)
				}
			}
		}
	}
	s.copyRoot(state)
}

// faultsOfOpening opens the store once and lists every call of it with everything that
// may become of it.
func (s *station) faultsOfOpening(state string) (all []injection) {
	s.Helper()
	s.restore(state)
	s.interceptor.arm(injection{})
	s.mustReload(s.config)
	s.eventually("the store is open", s.isOpen)
	counts := s.interceptor.counted()
	s.mustReload(s.without)
	s.Logf("calls of opening a store that is %s: %v", state, counts)
	for _, operation := range slices.Sorted(maps.Keys(counts)) {
		middle := (counts[operation] + 1) / 2
		all = append(all, injection{operation: operation, at: middle, delay: slow}, injection{operation: operation, at: middle, hangs: true})
		for at := 1; at <= counts[operation]; at++ {
			for _, errno := range errorsOfDisks {
				all = append(all, injection{operation: operation, error: errno, at: at})
				if at&(at-1) == 0 {
					all = append(all, injection{operation: operation, error: errno, at: at, lasts: true})
				}
			}
		}
	}
	return all
}

func (s *station) isOpen() bool {
	got, err := s.ask(http.MethodGet, filePath("bob", "other", "1", "none"))
	return err == nil && got.status == http.StatusNotFound && got.text() != "no registry"
}

// tryOpening is one case, in a process without the registry.
func (s *station) tryOpening(state string, what injection) {
	s.Helper()
	if s.process == nil {
		s.start(s.without)
	}
	s.restore(state)
	v := s.strike(what)
	if err := s.load(s.config); err != nil && !isMisconfigured(err) {
		v.complain("loading: %v", err)
	}
	if v.wantAlive() {
		v.settle()
		v.wantRefusalsOnly()
		v.wantNoDamage()
		v.lift()
		v.wantOpening(state)
	}
	v.report()
}

// isMisconfigured tells a directory that the user of the process may not use, of which
// the administrator hears when the configuration is loaded.
func isMisconfigured(err error) bool {
	return strings.Contains(err.Error(), unix.EACCES.Error()) || strings.Contains(err.Error(), "whom this process runs as")
}

// wantOpening loads the registry anew, without a fault, and compares.
func (v *verdict) wantOpening(state string) {
	v.Helper()
	if err := v.load(v.without); err != nil {
		v.complain("taking the registry away: %v", err)
		return
	}
	v.settle()
	if err := v.load(v.config); err != nil {
		v.complain("loading it again: %v", err)
		return
	}
	v.settle()
	if !eventuallyTrue(v.isOpen) {
		v.complain("the store is not open without the fault")
		return
	}
	if state != stateNew {
		for _, h := range v.clients {
			if _, err := h.look(v.server); err != nil {
				v.complain("afterwards: %v", err)
			}
		}
	}
	v.wantNoDamage()
	if err := v.load(v.without); err != nil {
		v.complain("taking the registry away again: %v", err)
	}
	v.settle()
}
