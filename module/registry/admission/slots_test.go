package admission

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestSlots(t *testing.T) {
	var s Slots
	most := Most{All: 3, User: 2}
	take := func(user string) func() {
		t.Helper()
		body, end, err := s.Admit(user, most, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); err != nil {
			t.Fatal(err)
		}
		return end
	}
	refused := func(user string) {
		t.Helper()
		if _, _, err := s.Admit(user, most, nil); !errors.Is(err, store.ErrBusy) {
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
	most.All = 0
	third := take("alice")
	for _, end := range []func(){second, nobody, bob, third} {
		end()
	}
	if s.all != 0 || len(s.byUser) != 0 {
		t.Errorf("left: %d, %v", s.all, s.byUser)
	}
}

// TestAnAnnouncedUploadTakesNoSlot: it takes one with its first bytes, or hears then
// that there is none any more.
func TestAnAnnouncedUploadTakesNoSlot(t *testing.T) {
	var s Slots
	most := Most{All: 1}
	var bodies []io.Reader
	var ends []func()
	for range 3 {
		body, end, err := s.Admit("mallory", most, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		bodies, ends = append(bodies, body), append(ends, end)
	}
	if content, err := io.ReadAll(bodies[1]); err != nil || string(content) != "x" {
		t.Errorf("the first of which bytes come: %q, %v", content, err)
	}
	if content, err := io.ReadAll(bodies[0]); !errors.Is(err, store.ErrBusy) || len(content) > 0 {
		t.Errorf("the next: %q, %v", content, err)
	}
	for _, end := range ends {
		end()
	}
	if s.all != 0 || len(s.byUser) != 0 {
		t.Errorf("left: %d, %v", s.all, s.byUser)
	}
}
