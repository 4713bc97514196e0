package registry

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAnUploadEndsWhileOthersAskForIt, as the last request once more does.
// Seen to fail with -race, with an expiry that who asks reads without the lock.
func TestAnUploadEndsWhileOthersAskForIt(t *testing.T) {
	r, _, _ := inMemory(t, Options{Idle: true})
	defer mustClose(t, r)
	for range 100 {
		ended := make(chan struct{})
		var asking sync.WaitGroup
		ask := func(session store.Session) bool {
			for range 4 {
				asking.Go(func() {
					for {
						select {
						case <-ended:
							return
						default:
						}
						if err := r.meetUpload(t.Context(), session.ID); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			return true
		}
		_, err := r.BeginUpload(t.Context(), NewUpload{Ref: fileRef("1", "f"), Creator: "u", Length: 4, Age: time.Hour, Most: 1, UserMost: 1, Announce: ask},
			Append{Content: Content{Body: strings.NewReader("four"), Size: 4}, Complete: true, Length: -1, Interrupt: func() {}}, Limits{OnDuplicate: store.Same})
		close(ended)
		asking.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
}
