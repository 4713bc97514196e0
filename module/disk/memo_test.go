package disk

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAMemoKeepsWhatIsGoodForAWhile: an answer is given again until its time is over. One that
// is not to be kept, and an error, are not.
// Seen to fail with an answer that is kept for twice its time, and with errors that are kept.
func TestAMemoKeepsWhatIsGoodForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[int]
		asked := 0
		for _, test := range []struct {
			name  string
			after time.Duration
			keep  time.Duration
			err   error
			want  int
		}{
			{name: "an answer that is not kept", want: 1},
			{name: "one that is kept for a second", keep: time.Second, want: 2},
			{name: "just before the second is over", after: time.Second - 1, want: 2},
			{name: "an error, which is not kept", after: 1, keep: time.Hour, err: errors.ErrUnsupported, want: 3},
			{name: "after an error", keep: time.Second, want: 4},
			{name: "at once after a kept answer", want: 4},
		} {
			time.Sleep(test.after)
			got, err := m.get(func() (int, time.Duration, error) {
				asked++
				return asked, test.keep, test.err
			})
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%s: answer %d, %v, want %d, %v", test.name, got, err, test.want, test.err)
			}
		}
	})
}
