package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestReadsDoNotWaitForTheDisk: while a publish waits for the database to be synced,
// files that nobody has asked for yet are answered.
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
	s.start(config) // nothing is in memory
	late := filePath("alice", "p", "1", "late")
	slow := s.trace("msync", "-e", "inject=msync:delay_enter=1000000") // µs
	published := make(chan error, 1)
	go func() {
		got, err := s.try(http.MethodPut, late, "alice", strings.NewReader("late"))
		if err == nil && got.status != http.StatusCreated {
			err = fmt.Errorf("the publish is answered with %d", got.status)
		}
		published <- err
	}()
	s.eventually("the publish is in the journal", func() bool {
		segments, err := filepath.Glob(filepath.Join(s.root, "metadata", "journal", "*.jsonl"))
		if err != nil || len(segments) != 1 {
			t.Fatalf("the journal is %v, %v", segments, err)
		}
		return strings.Contains(readFile(t, segments[0]), `"late"`)
	})
	for i := range files {
		s.wantBytes(filePath("alice", "p", "1", fmt.Sprint("f", i)), pattern(i, 1000))
	}
	select {
	case err := <-published:
		t.Fatalf("the publish was over before the reads: %v", err)
	default:
	}
	slow.detach()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	s.wantBytes(late, []byte("late"))
}
