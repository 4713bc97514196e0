package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tracer is strace, attached to a server.
type tracer struct {
	testing.TB
	command *exec.Cmd
	log     string
	ended   bool
}

// inject has calls fail with EIO: those of the given names, the when-th of each
// thread ("3"), or all from that one on ("3+"). With paths, only calls on those.
func (s *server) inject(calls, when string, paths ...string) *tracer {
	s.Helper()
	arguments := []string{"-e", "inject=" + calls + ":error=EIO:when=" + when}
	for _, path := range paths {
		arguments = append(arguments, "-P", path)
	}
	return s.trace(calls+",ftruncate", arguments...) // for syncedAgain
}

// trace has calls written down, of every thread.
func (s *server) trace(calls string, arguments ...string) *tracer {
	s.Helper()
	process := s.process.Process.Pid
	f := &tracer{TB: s, log: filepath.Join(s.TempDir(), "strace")}
	arguments = append([]string{"-f", "-y", "-q", "-o", f.log, "-p", fmt.Sprint(process), "-e", "trace=" + calls}, arguments...)
	f.command = exec.Command("strace", arguments...)
	var complaints bytes.Buffer
	f.command.Stderr = &complaints
	if err := f.command.Start(); err != nil {
		s.Fatalf("starting strace: %v", err)
	}
	s.Cleanup(f.detach)
	s.eventually("strace is attached to every thread", func() bool { return isTraced(s, process) })
	return f
}

func isTraced(t testing.TB, process int) bool {
	t.Helper()
	return !slices.ContainsFunc(threadStatus(t, process), func(text string) bool {
		return text == "" || strings.Contains(text, "TracerPid:\t0\n")
	})
}

// threadStatus returns what proc(5) says of each thread of a process; nothing of one
// that has just ended.
func threadStatus(t testing.TB, process int) (texts []string) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", process))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of process %d: %v", process, err)
	}
	for _, thread := range threads {
		text, _ := os.ReadFile(thread)
		texts = append(texts, string(text))
	}
	return texts
}

// injected returns the calls that were made to fail.
func (f *tracer) injected() (lines []string) {
	f.Helper()
	for line := range strings.Lines(readFile(f, f.log)) {
		if strings.Contains(line, "(INJECTED)") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

var (
	tracedSync  = regexp.MustCompile(`^(\d+) +f(?:data)?sync\(\d+<([^>]+)>(.*)`)
	resumedSync = regexp.MustCompile(`^(\d+) +<\.\.\. f(?:data)?sync resumed>(.*)`)
	tracedCut   = regexp.MustCompile(`^(\d+) +ftruncate\(\d+<([^>]+)>, 0(?:(\) += 0\n)| <unfinished)`)
	resumedCut  = regexp.MustCompile(`^(\d+) +<\.\.\. ftruncate resumed>\) += 0\n`)
)

// syncedAgain returns files of which a sync failed and another was tried. One that was
// cut to nothing between the two has nothing that may be lost.
func (f *tracer) syncedAgain() (names []string) {
	f.Helper()
	under, cut, failed := make(map[string]string), make(map[string]string), make(map[string]bool)
	for line := range strings.Lines(readFile(f, f.log)) {
		var thread, outcome string
		if m := tracedSync.FindStringSubmatch(line); m != nil {
			thread, outcome = m[1], m[3]
			under[thread] = m[2]
			if failed[m[2]] {
				names = append(names, m[2])
			}
		} else if m := resumedSync.FindStringSubmatch(line); m != nil {
			thread, outcome = m[1], m[2]
		} else if m := tracedCut.FindStringSubmatch(line); m != nil {
			cut[m[1]] = m[2]
			if m[3] != "" {
				delete(failed, m[2])
			}
		} else if m := resumedCut.FindStringSubmatch(line); m != nil {
			delete(failed, cut[m[1]])
		}
		if strings.Contains(outcome, "(INJECTED)") {
			failed[under[thread]] = true
		}
	}
	return names
}

// systemCall is one that ended well.
type systemCall struct {
	name, arguments string
	result          int64
}

var (
	tracedCall  = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (\d+)`)
	startedCall = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>`)
	resumedCall = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)\) += (\d+)`)
)

// calls returns the calls that were written down. Before the tracer is detached the
// last may be cut, and one that has ended may be missing.
func (f *tracer) calls() (calls []systemCall) {
	f.Helper()
	started := make(map[string]systemCall) // by thread
	for line := range strings.Lines(readFile(f, f.log)) {
		if m := startedCall.FindStringSubmatch(line); m != nil {
			started[m[1]] = systemCall{name: m[2], arguments: m[3]}
		} else if m := resumedCall.FindStringSubmatch(line); m != nil {
			c := started[m[1]]
			calls = append(calls, systemCall{c.name, c.arguments + m[2], f.number(m[3])})
		} else if m := tracedCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, systemCall{m[2], m[3], f.number(m[4])})
		}
	}
	return calls
}

func (f *tracer) number(text string) int64 {
	f.Helper()
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f.Fatal(err)
	}
	return number
}

// detach lets the server go on by itself.
func (f *tracer) detach() {
	f.Helper()
	if f.ended {
		return
	}
	f.ended = true
	if err := f.command.Process.Signal(os.Interrupt); err != nil {
		f.Errorf("ending strace: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- f.command.Wait() }()
	select {
	case <-done: // with an error: the signal
	case <-time.After(patience / 6):
		// It can wait for ever on a server that has ended.
		_ = f.command.Process.Kill()
		<-done
	}
}

// TestSyncsThatAreTriedAgainAreSeen is the test of syncedAgain.
func TestSyncsThatAreTriedAgainAreSeen(t *testing.T) {
	const failed = "1  fsync(7</x/packs/3>)  = -1 EIO (Input/output error) (INJECTED)\n"
	const again = "2  fsync(8</x/packs/3>)         = 0\n"
	for name, test := range map[string]struct {
		calls string
		want  int
	}{
		"once":                     {failed, 0},
		"of the data":              {strings.ReplaceAll(failed+again, "fsync", "fdatasync"), 1},
		"of another file":          {failed + "2  fsync(8</x/packs/4>) = 0\n", 0},
		"again":                    {failed + again, 1},
		"interrupted":              {"1  fsync(7</x/packs/3> <unfinished ...>\n2  futex(0x1, 2) = 0\n1  <... fsync resumed>)  = -1 EIO (Input/output error) (INJECTED)\n" + again, 1},
		"cut":                      {failed + "2  ftruncate(8</x/packs/3>, 0)  = 0\n" + again, 0},
		"cut, interrupted":         {failed + "2  ftruncate(8</x/packs/3>, 0 <unfinished ...>\n2  <... ftruncate resumed>) = 0\n" + again, 0},
		"cut to something":         {failed + "2  ftruncate(8</x/packs/3>, 10) = 0\n" + again, 1},
		"not cut":                  {failed + "2  ftruncate(8</x/packs/3>, 0)  = -1 EIO (Input/output error) (INJECTED)\n" + again, 1},
		"not cut, and interrupted": {failed + "2  ftruncate(8</x/packs/3>, 0 <unfinished ...>\n2  <... ftruncate resumed>) = -1 EIO (Input/output error) (INJECTED)\n" + again, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &tracer{TB: t, log: filepath.Join(t.TempDir(), "strace")}
			if err := os.WriteFile(f.log, []byte(test.calls), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := f.syncedAgain(); len(got) != test.want {
				t.Errorf("synced again: %q, want %d", got, test.want)
			}
		})
	}
}
