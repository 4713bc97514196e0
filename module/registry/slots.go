package registry

import (
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Limits bound what one publish may take, and what it may do.
type Limits struct {
	// Quota of the owner.
	Quota store.Quota
	// Draft publishes into a draft.
	Draft bool
	// OnDuplicate is what happens when the version has a file of that name. Zero refuses it.
	OnDuplicate store.OnDuplicate
	// Immutable has files that are published keep their bytes: Replace is Same for them. It
	// says nothing of drafts.
	Immutable bool
	// Uploads that may be in progress at once in the whole registry. An upload counts
	// from its first byte. Zero is no limit.
	Uploads int
	// UserUploads that one user may have in progress at once; anonymous is a user
	// here. Zero is no limit.
	UserUploads int
}

// Duplicate is what happens when the version has a file of that name.
func (l Limits) Duplicate() store.OnDuplicate {
	if l.Immutable && !l.Draft && l.OnDuplicate == store.Replace {
		return store.Same
	}
	return l.OnDuplicate
}

// slots counts the uploads of which bytes came. The limits come with each upload, so
// that changed ones count at once.
type slots struct {
	mu     sync.Mutex
	all    int
	byUser map[string]int
}

// admit returns a body that takes a slot of a user when its first bytes come, and fails
// with ErrBusy when there is none; the function gives the slot back. It says ErrBusy
// before the body when there is none now.
func (s *slots) admit(user string, limits Limits, body io.Reader) (io.Reader, func(), error) {
	slotted := &slotBody{body: body, slots: s, user: store.Fold(user), limits: limits}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slotted, slotted.end, s.busy(slotted.user, limits)
}

// busy requires s.mu.
func (s *slots) busy(user string, limits Limits) error {
	if limits.Uploads > 0 && s.all >= limits.Uploads {
		return fmt.Errorf("%w: %d", store.ErrBusy, s.all)
	}
	if limits.UserUploads > 0 && s.byUser[user] >= limits.UserUploads {
		return fmt.Errorf("%w: %d of this user", store.ErrBusy, s.byUser[user])
	}
	return nil
}

func (s *slots) take(user string, limits Limits) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.busy(user, limits); err != nil {
		return err
	}
	if s.byUser == nil {
		s.byUser = make(map[string]int)
	}
	s.all++
	s.byUser[user]++
	return nil
}

// taken tells how many there are.
func (s *slots) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

func (s *slots) give(user string) {
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
	body   io.Reader
	slots  *slots
	user   string // folded
	limits Limits
	taken  bool
}

func (b *slotBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 && !b.taken {
		if err := b.slots.take(b.user, b.limits); err != nil {
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
