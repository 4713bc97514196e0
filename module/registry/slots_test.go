package registry

import (
	"errors"
	"testing"
)

func TestSlots(t *testing.T) {
	var s slots
	limits := Limits{Uploads: 3, UserUploads: 2}
	take := func(user string) func() {
		t.Helper()
		release, err := s.take(user, limits)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	refused := func(user string) {
		t.Helper()
		if _, err := s.take(user, limits); !errors.Is(err, ErrBusy) {
			t.Fatalf("%q: %v", user, err)
		}
	}
	first, second := take("alice"), take("ALICE")
	refused("Alice")
	nobody := take("")
	refused("bob")
	first()
	bob := take("bob")
	refused("alice")
	limits.Uploads = 0
	third := take("alice")
	for _, release := range []func(){second, nobody, bob, third} {
		release()
	}
	if s.all != 0 || len(s.byUser) != 0 {
		t.Errorf("left: %d, %v", s.all, s.byUser)
	}
}
