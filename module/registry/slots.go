package registry

import (
	"fmt"
	"sync"
)

// Limits bound what one publish may take.
type Limits struct {
	// Quota of the owner.
	Quota Quota
	// Uploads that may be under way at once in the whole registry. Zero is no
	// limit.
	Uploads int
	// UserUploads that one user may have under way at once; anonymous is a user
	// here. Zero is no limit.
	UserUploads int
}

// slots counts the uploads under way. The limits come with each upload, so that
// changed ones count at once.
type slots struct {
	mu     sync.Mutex
	all    int
	byUser map[string]int
}

// take counts one more upload of a user until the returned function is called.
// ErrBusy.
func (s *slots) take(user string, limits Limits) (release func(), err error) {
	user = Fold(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if limits.Uploads > 0 && s.all >= limits.Uploads {
		return nil, fmt.Errorf("%w: %d", ErrBusy, s.all)
	}
	if limits.UserUploads > 0 && s.byUser[user] >= limits.UserUploads {
		return nil, fmt.Errorf("%w: %d of this user", ErrBusy, s.byUser[user])
	}
	if s.byUser == nil {
		s.byUser = make(map[string]int)
	}
	s.all++
	s.byUser[user]++
	return func() { s.give(user) }, nil
}

func (s *slots) give(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byUser[user]--; s.byUser[user] == 0 {
		delete(s.byUser, user)
	}
}
