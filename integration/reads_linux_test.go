package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestReadsDoNotWaitForTheDisk: a publish is over before the database has it, and while
// that is synced files that nobody has asked for yet are answered, the new one too.
// Seen to fail with reads or publishes that wait for the sync of the database.
func TestReadsDoNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	const files = 5
	s := newServer(t)
	config := s.site("scrub off")
	s.start(config)
	for i := range files {
		s.put(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 1000))
	}
	s.signal(syscall.SIGTERM)
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	s.start(config)                                                     // nothing is in memory
	slow := s.trace("msync", "-e", "inject=msync:delay_enter=60000000") // µs
	late := filePath("alice", "p", "1", "late")
	s.put(late, []byte("late"))
	s.eventually("the database is about to be synced", func() bool { return strings.Contains(readFile(t, slow.log), "msync(") })
	for i := range files {
		s.wantBytes(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 1000))
	}
	s.wantBytes(late, []byte("late"))
	if len(slow.calls()) > 0 {
		t.Fatal("the database was synced before the reads")
	}
	slow.detach()
	s.wantBytes(late, []byte("late"))
}
