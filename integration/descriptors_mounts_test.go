//go:build mounts

package integration

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestShortageOfDescriptorsAtStart: a process that may have only so many files open
// lives, and takes nothing for damaged.
func TestShortageOfDescriptorsAtStart(t *testing.T) {
	t.Parallel()
	f := newFlood(t, newMemoryMount(t, 512<<20), 2)
	f.faults = []string{""}
	f.start(f.config)
	f.clients.each(f, func(h *history) error { return h.operate(f.server, 60) })
	f.signal(unix.SIGTERM)
	if err := f.ended(); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{16, 18, 20, 24, 32, 64, 128} {
		f.configure = func(command *exec.Cmd) {
			command.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), command.Path}, command.Args[1:]...)
			command.Path = "/bin/sh"
		}
		f.launch(f.config)
		f.eventually(fmt.Sprintf("with %d descriptors, the other site answers", limit), func() bool {
			select {
			case err := <-f.exited:
				f.exited <- err
				t.Fatalf("with %d descriptors, the process ended: %v", limit, err)
			default:
			}
			got, err := f.tryAt(t.Context(), f.other, http.MethodGet, "/", "", nil)
			f.client.CloseIdleConnections()
			return err == nil && got.text() == "another site"
		})
		got, err := f.try(http.MethodGet, filePath("bob", "other", "1", "none"), "bob", nil)
		if err == nil && got.status != http.StatusNotFound && got.status != http.StatusServiceUnavailable {
			t.Errorf("with %d descriptors, a file that is not there: %d %s", limit, got.status, got.text())
		}
		f.signal(unix.SIGTERM)
		if err := f.ended(); err != nil {
			t.Errorf("with %d descriptors, ending: %v", limit, err)
		}
		f.wantNothingAside(filepath.Join(f.root, "metadata"))
		if log := f.logText(); strings.Contains(log, "is damaged") {
			t.Fatalf("with %d descriptors, the log speaks of damage: %.800s", limit, log[strings.Index(log, "is damaged"):])
		}
	}
	f.configure = nil
	f.start(f.config)
	f.eventuallyAllThere()
}

// TestShortageOfDescriptors: clients that only connect take the descriptors of a
// process that makes tables all the time.
func TestShortageOfDescriptors(t *testing.T) {
	t.Parallel()
	s := newStation(t, 8)
	s.configure = nil
	s.binary = mutant(t, smallTables...)
	s.start(s.config)
	s.clients.each(s, func(h *history) error { return h.operate(s.server, 100) })
	v := &verdict{station: s, what: injection{error: unix.EMFILE}, began: len(s.logText())}
	before := s.limitDescriptors(uint64(s.descriptors() + 8))
	var idle []net.Conn
	for range 64 {
		if connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port)); err == nil {
			idle = append(idle, connection)
		}
	}
	s.client.Timeout = time.Second // for clients whose connection nobody takes
	v.workWithoutAnswers(150)
	s.client.Timeout = answerTime
	v.wantAlive()
	for _, connection := range idle {
		_ = connection.Close()
	}
	s.limitDescriptors(before)
	v.wantRunning()
	s.kill()
	s.start(s.config)
	s.wantAllThere()
	s.wantNothingAside(s.metadata)
	v.report()
}

// workWithoutAnswers is work until a request of the client is not answered: the process
// takes no connection while it has no descriptor for one.
func (v *verdict) workWithoutAnswers(operations int) {
	v.Helper()
	err := v.clients.try(func(h *history) error {
		h.expectFaults()
		for range operations {
			if status, err := h.next(v.server); err != nil || status == 0 {
				return err
			}
		}
		return nil
	})
	if err != nil {
		v.complain("working: %v", err)
	}
}

// wantRunning waits until the registry takes changes again, and compares.
func (v *verdict) wantRunning() {
	v.Helper()
	h := v.clients[0]
	var status int
	var err error
	recovered := eventuallyTrue(func() bool { // a 409 comes while changes are refused too
		status, err = h.publish(v.server, h.path(0, 0))
		if err == nil && status == http.StatusConflict {
			_, err = h.deleteFile(v.server, h.path(0, 0))
		}
		return err == nil && status == http.StatusCreated
	})
	if !recovered {
		v.complain("no upload is taken without the fault: the last answer is %d, %v\n%s", status, err, v.goroutines())
	}
	// It may open its files once more.
	if err := v.clients.try(func(h *history) error { return h.check(v.server) }); err != nil {
		v.complain("afterwards: %v", err)
	}
	v.wantNoDamage()
}

// expectFaults: a 507 says that nothing happened, a 503 and a 500 do not say.
func (h *history) expectFaults() {
	h.refusals = []int{http.StatusInsufficientStorage}
	h.unclear = []int{http.StatusServiceUnavailable, http.StatusInternalServerError}
}
