package visit

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestWorkEndsWhenNobodyWantsIt: at once over HTTP/2 and HTTP/3, a while after the end
// of the client's side over HTTP/1, and never before.
func TestWorkEndsWhenNobodyWantsIt(t *testing.T) {
	for _, test := range []struct {
		name  string
		major int
		want  time.Duration
	}{{"HTTP/1", 1, halfClosedWork}, {"HTTP/2", 2, 0}, {"HTTP/3", 3, 0}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, gone := context.WithCancel(t.Context())
				r, err := http.NewRequestWithContext(asked, http.MethodGet, "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.ProtoMajor = test.major
				ctx, end := wanted(r)
				defer end()
				time.Sleep(time.Hour)
				synctest.Wait()
				if ctx.Err() != nil {
					t.Fatal("the work ends while the client waits")
				}
				gone()
				left := time.Now()
				<-ctx.Done()
				if got := time.Since(left); got != test.want {
					t.Errorf("the work ends after %v, want %v", got, test.want)
				}
			})
		})
	}
}

// TestWorkThatIsDoneLeavesNothing waiting for its client: the bubble would not end.
func TestWorkThatIsDoneLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, leaves := range []bool{false, true} {
			asked, gone := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(asked, http.MethodGet, "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, end := wanted(r)
			if leaves {
				gone()
				synctest.Wait()
			}
			end()
			if synctest.Wait(); ctx.Err() == nil {
				t.Error("the context of work that is done goes on")
			}
			gone()
		}
	})
}
