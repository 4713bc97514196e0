package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestMetadataThatIsOlderThanTheBlobs: nothing is changed or swept, health and one log
// line say so, files are read, and an administrator can say that it is right.
func TestMetadataThatIsOlderThanTheBlobs(t *testing.T) {
	s := newSweepTest(t, 3)
	s.clock = fakeTime.Add(2 * store.SweepAfter)
	s.stores.positionErr = fmt.Errorf("%w: 5 and 9", store.ErrBehind)
	for range 3 {
		s.wantSwept(0)
	}
	_, publishing := s.Publish(t.Context(), store.Ref{}, "alice", Content{Body: strings.NewReader("x"), Size: 1}, Limits{})
	for name, err := range map[string]error{
		"publishing": publishing, "deleting a file": s.DeleteFile(t.Context(), store.Ref{}, store.Act{User: "alice"}), "deleting a version": s.DeleteVersion(t.Context(), store.VersionRef{}, store.Act{User: "alice"}),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: error is %v, want %v", name, err, store.ErrUnavailable)
		}
	}
	if health := s.Health(); health.Ready() || !health.Live() || !errors.Is(health.Metadata.Fault, store.ErrBehind) {
		t.Errorf("health is %+v", health)
	}
	if log := s.log.String(); strings.Count(log, "level=ERROR") != 1 {
		t.Errorf("logged: %s", log)
	}
	s.stores.positionErr = nil
	for _, want := range []int{0, 3} {
		if removed, err := s.ConfirmSweep(t.Context()); removed != want || err != nil {
			t.Errorf("confirmed, %d are deleted, %v; want %d", removed, err, want)
		}
	}
	if health := s.Health(); !health.Ready() {
		t.Errorf("afterwards health is %+v", health)
	}
}
