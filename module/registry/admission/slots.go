package admission

import (
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Most is how many uploads may be in progress at once. An upload counts from its first byte.
type Most struct {
	// All uploads of the registry together. Zero is no limit.
	All int
	// User is how many uploads one user may have in progress. Anonymous is a user here. Zero
	// is no limit.
	User int
}

// Slots counts the uploads of which bytes came. The limits come with each upload, so that
// changed limits count at once. The zero value has counted none. All methods may run
// concurrently.
type Slots struct {
	mu     sync.Mutex
	all    int
	byUser map[string]int
}

// Admit returns a body that takes a slot of a user when its first bytes come. Reading fails
// with ErrBusy when no slot is free then. The function gives the slot back. The error is
// ErrBusy when no slot is free now.
func (s *Slots) Admit(user string, most Most, body io.Reader) (io.Reader, func(), error) {
	slotted := &slotBody{body: body, slots: s, user: store.Fold(user), most: most}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slotted, slotted.end, s.busy(slotted.user, most)
}

// busy requires s.mu.
func (s *Slots) busy(user string, most Most) error {
	if most.All > 0 && s.all >= most.All {
		return fmt.Errorf("%w: %d", store.ErrBusy, s.all)
	}
	if most.User > 0 && s.byUser[user] >= most.User {
		return fmt.Errorf("%w: %d of this user", store.ErrBusy, s.byUser[user])
	}
	return nil
}

func (s *Slots) take(user string, most Most) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.busy(user, most); err != nil {
		return err
	}
	if s.byUser == nil {
		s.byUser = make(map[string]int)
	}
	s.all++
	s.byUser[user]++
	return nil
}

// Taken returns how many slots are taken.
func (s *Slots) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

func (s *Slots) give(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byUser[user]--; s.byUser[user] == 0 {
		delete(s.byUser, user)
	}
}

// slotBody is a body that has a slot once bytes of it came: a client that only
// announces an upload keeps nobody out.
type slotBody struct {
	body  io.Reader
	slots *Slots
	user  string // folded
	most  Most
	taken bool
}

func (b *slotBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 && !b.taken {
		if err := b.slots.take(b.user, b.most); err != nil {
			return 0, err
		}
		b.taken = true
	}
	return n, err
}

// end gives the slot back, when nobody reads any more.
func (b *slotBody) end() {
	if b.taken {
		b.slots.give(b.user)
	}
}
