package disk

import (
	"sync"
	"time"
)

// Every publish asks several times how much room there is, which is much of what the system
// does for it. So an answer is kept for a moment if it says that there is plenty: more than can
// be used up in that moment. One that says less is not kept, so that who comes near to a
// reserve sees each byte. Only a reserve that is larger than plenty may be missed, by what is
// written in the moment: the reserve has room for more than that.
const (
	moment = 5 * time.Millisecond

	plentyOfBytes       = 1 << 30
	plentyOfFiles       = 1 << 16
	plentyOfDescriptors = 1 << 10
)

// goodFor is for how long an answer is kept.
func goodFor(isPlenty bool) time.Duration {
	if isPlenty {
		return moment
	}
	return 0
}

// memo keeps the last answer to a question. All methods may run concurrently.
type memo[T any] struct {
	mu     sync.Mutex
	answer T
	until  time.Time
}

// get returns the answer that is kept, or asks for another, and for how long to keep it.
// Errors are not kept.
func (m *memo[T]) get(ask func() (T, time.Duration, error)) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Before(m.until) {
		return m.answer, nil
	}
	answer, keep, err := ask()
	if err == nil {
		m.answer, m.until = answer, now.Add(keep)
	}
	return answer, err
}
