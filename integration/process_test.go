package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
)

// goroutines asks the admin endpoint how many there are.
func (s *server) goroutines() int {
	s.Helper()
	s.eventually("one configuration has the admin endpoint", func() bool { return s.listeners(s.admin) <= 1 })
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/goroutine?debug=1", s.admin))
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	var count int
	if _, err := fmt.Fscanf(response.Body, "goroutine profile: total %d", &count); err != nil {
		s.Fatal(err)
	}
	return count
}

// heap asks the admin endpoint to collect what nobody uses, and how many bytes are in use
// then.
func (s *server) heap() (bytes int64) {
	s.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap?gc=1&debug=1", s.admin))
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n# HeapAlloc = ")
	if _, err := fmt.Sscan(after, &bytes); err != nil {
		s.Fatalf("the profile of the heap has no HeapAlloc: %v", err)
	}
	return bytes
}

// descriptors counts the process's open files. Linux only, as CI is.
func (s *server) descriptors() int {
	s.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Process.Pid))
	if err != nil {
		s.Fatal(err)
	}
	return len(entries)
}

// listeners counts the sockets that listen at a port of the server: one for each
// configuration. Linux only, as above.
func (s *server) listeners(port int) (count int) {
	s.Helper()
	if runtime.GOOS != "linux" {
		return 1
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		s.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		// number, local address, remote address, state (0A is LISTEN)
		if fields := strings.Fields(line); len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			count++
		}
	}
	return count
}

// checkLog fails the test for what no log may hold: crashes, races, and errors of
// the registry that the test did not cause.
func (s *server) checkLog() {
	text := s.logText()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
		if i := strings.Index(text, bad); i >= 0 {
			s.Errorf("the log says %s: %s", bad, text[i:min(len(text), i+2000)])
		}
	}
	for line := range strings.Lines(text) {
		var entry struct{ Level, Logger string }
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue // what is printed before the log is set up
		}
		if entry.Level == "error" && strings.Contains(entry.Logger, "generic_registry") && !s.isExpected(line) {
			s.Errorf("the registry logged an error: %s", line)
		}
	}
}

func (s *server) isExpected(line string) bool {
	for _, fault := range s.faults {
		if strings.Contains(line, fault) {
			return true
		}
	}
	return false
}
