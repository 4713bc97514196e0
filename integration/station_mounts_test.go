//go:build mounts

package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// station is a server on a disk in memory, with another site in the same process. The
// system calls on the metadata are intercepted.
type station struct {
	*flood
	interceptor *interceptor
	metadata    string
	without     string // the Caddyfile without the registry
	writers     int
	prepared    map[string]string // copies of the root, by what they are
	answered    atomic.Int64      // how often the other site has answered
}

func newStation(t testing.TB, writers int) *station {
	t.Helper()
	// Deleted bytes stay until the database has that for certain, which takes long under faults.
	f := newFlood(t, newMemoryMount(t, 2<<30), writers)
	f.faults = []string{""} // each case looks at the log
	f.client.Timeout = answerTime
	s := &station{
		flood: f, writers: writers,
		metadata: filepath.Join(f.root, "metadata"),
		without:  f.global() + f.otherSite() + fmt.Sprintf("http://127.0.0.1:%d {\n\trespond \"no registry\" 404\n}\n", f.port),
		prepared: make(map[string]string),
	}
	s.interceptor = f.intercept(s.metadata)
	return s
}

// answerTime is how long an answer may take whatever fails. A start waits 10 seconds of it.
const answerTime = patience / 2

// errorsOfDisks are what each call fails with.
var errorsOfDisks = []syscall.Errno{unix.EIO, unix.ENOSPC, unix.EMFILE, unix.EACCES, unix.EROFS}

// isShortage tells an error that passes, which is never the server's own.
func isShortage(errno syscall.Errno) bool {
	return slices.Contains([]syscall.Errno{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.ENOMEM}, errno)
}

// copyRoot keeps the root as it is now.
func (s *station) copyRoot(state string) {
	s.Helper()
	s.prepared[state] = filepath.Join(s.TempDir(), "root")
	s.disk.run("cp", "-a", "--sparse=always", s.root, s.prepared[state])
}

// restore makes the root what it was, or nothing if it was never kept.
func (s *station) restore(state string) {
	s.Helper()
	if err := os.RemoveAll(s.root); err != nil {
		s.Fatal(err)
	}
	if from := s.prepared[state]; from != "" {
		s.disk.run("cp", "-a", "--sparse=always", from, s.root)
	}
}

// stop ends the process as an administrator does.
func (s *station) stop() {
	s.Helper()
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		s.Fatal(err)
	}
}

// load gives the process a configuration. One that is not taken in time is an error.
func (s *station) load(text string) error {
	s.Helper()
	loaded := make(chan error, 1)
	go func() { loaded <- s.reload(text) }()
	select {
	case err := <-loaded:
		return err
	case <-time.After(answerTime):
		return fmt.Errorf("a configuration is not loaded in %s", answerTime)
	}
}

// ask is try for whom nothing is kept.
func (s *station) ask(method, path string) (answer, error) {
	return s.try(method, path, "bob", strings.NewReader("x"))
}

// run runs one case as a test of its own.
func (s *station) run(t *testing.T, name string, test func()) {
	t.Run(name, func(t *testing.T) {
		outer := s.server.TB
		s.server.TB = t
		defer func() { s.server.TB = outer }()
		test()
	})
}

// putAside lists the databases that were taken for damaged.
func (s *station) putAside() []string {
	s.Helper()
	aside, err := filepath.Glob(filepath.Join(s.metadata, "damaged-*"))
	if err != nil {
		s.Fatal(err)
	}
	return aside
}

// verdict is what one fault led to.
type verdict struct {
	*station
	what     injection
	began    int // in the log
	aside    int // databases that were put aside before
	hits     []string
	problems []string
}

// strike arms a fault.
func (s *station) strike(what injection) *verdict {
	s.Helper()
	v := &verdict{station: s, what: what, began: len(s.logText()), aside: len(s.putAside())}
	s.interceptor.arm(what)
	return v
}

func (v *verdict) complain(format string, arguments ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, arguments...))
}

// lift takes the fault away.
func (v *verdict) lift() { v.hits = v.interceptor.disarm() }

// wantRefusalsOnly asks the registry, which may not be there.
func (v *verdict) wantRefusalsOnly() {
	v.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		got, err := v.ask(method, filePath("bob", "other", "1", method))
		switch {
		case err != nil:
			v.complain("%s: %v", method, err)
		case got.status == http.StatusServiceUnavailable || got.status == http.StatusInsufficientStorage:
			if got.header.Get("Retry-After") == "" {
				v.complain("%s: %d without Retry-After", method, got.status)
			}
		case got.status >= http.StatusInternalServerError:
			v.complain("%s: %d %s", method, got.status, got.text())
		}
	}
}

// lostByBadger tells what Badger loses when it fails: what a compaction was made of is
// removed although it has failed, and so is a table whose name in the manifest could not
// be synced, and stays there.
var lostByBadger = regexp.MustCompile(`lost records in a compaction|table [0-9]+\.sst: it is missing`)

// wantNoDamage looks at what is said and done about the fault.
func (v *verdict) wantNoDamage() {
	v.Helper()
	_, health := v.adminSays("/generic_registry/health")
	log := v.logText()[v.began:]
	lost := lostByBadger.MatchString(log)
	words := []string{"restore a backup", "panic"}
	if !lost {
		words = append(words, "stored data is damaged", "is damaged", "making it anew")
	}
	for where, text := range map[string]string{"health": health, "the log": log} {
		for _, word := range words {
			for line := range strings.Lines(text) {
				if strings.Contains(line, word) {
					v.complain("%s says %.600s", where, strings.TrimSpace(line))
					break
				}
			}
		}
	}
	if aside := v.putAside(); len(aside) > v.aside && !lost {
		v.complain("put aside: %v", aside)
	}
}

// adminSays is fromAdmin for a server that may have ended.
func (v *verdict) adminSays(path string) (int, string) {
	got, err := v.tryAt(v.Context(), v.admin, http.MethodGet, path, "", nil)
	if err != nil {
		v.complain("the admin endpoint: %v", err)
	}
	return got.status, string(got.body)
}

// goroutines keeps what the process is doing, and says where.
func (v *verdict) goroutines() string {
	v.Helper()
	_, stacks := v.adminSays("/debug/pprof/goroutine?debug=2")
	name := filepath.Join(v.ArtifactDir(), "goroutines")
	if err := os.WriteFile(name, []byte(stacks+"\n"+v.logText()), 0o600); err != nil {
		v.complain("%v", err)
	}
	return "goroutines and log: " + name
}

// wantAlive fails for a process that has ended.
func (v *verdict) wantAlive() bool {
	v.Helper()
	select {
	case err := <-v.exited:
		v.complain("the process ended: %v", err)
		v.exited <- err
		return false
	default:
		return true
	}
}

// report fails the test for what is wrong, and ends the process then: the next case
// begins with another.
func (v *verdict) report() {
	v.Helper()
	v.wantAlive()
	if len(v.problems) == 0 {
		return
	}
	name := filepath.Join(v.ArtifactDir(), "log")
	if err := os.WriteFile(name, []byte(v.logText()[v.began:]), 0o600); err != nil {
		v.Error(err)
	}
	v.Errorf("hit %.400q\n%.4000s\nlog: %s", v.hits[:min(len(v.hits), 3)], strings.Join(v.problems, "\n"), name)
	v.kill()
	v.client.CloseIdleConnections()
}

// watchOther asks the other site all the time, as probe does. A connection may be reset
// when a configuration goes, with any handler: so it asks again, but not for long.
func (s *station) watchOther() (stop func()) {
	var running sync.WaitGroup
	var over atomic.Bool
	var failure error
	running.Go(func() {
		for last := time.Now(); !over.Load(); {
			ctx, cancel := context.WithTimeout(s.Context(), answerTime)
			got, err := s.tryAt(ctx, s.other, http.MethodGet, "/", "", nil)
			cancel()
			switch {
			case err == nil && got.status == http.StatusOK && got.text() == "another site":
				last = time.Now()
				s.answered.Add(1)
			case err == nil:
				failure = fmt.Errorf("it answered %d %s", got.status, got.text())
			case time.Since(last) > answerTime:
				failure = err
			}
			time.Sleep(10 * time.Millisecond) // leaves the cores to others
		}
	})
	return func() {
		s.Helper()
		over.Store(true)
		running.Wait()
		if answered := s.answered.Load(); failure != nil || answered == 0 {
			s.Errorf("the other site answered %d times, and failed: %v", answered, failure)
		}
	}
}
