package store

import (
	"testing"
	"time"
)

// TestTimer: a time is in the first class whose bound it does not pass, and in all after it.
func TestTimer(t *testing.T) {
	var timer Timer
	for _, took := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Minute} {
		timer.Note(took)
	}
	got := timer.Times()
	if got.Count != 4 || got.Sum != time.Minute+2*time.Millisecond+1 {
		t.Errorf("%d times, %v together", got.Count, got.Sum)
	}
	for bound, want := range map[time.Duration]uint64{time.Millisecond: 2, 4 * time.Millisecond: 3, 16 * time.Second: 3} {
		if got.AtMost[bound] != want {
			t.Errorf("%d took at most %v, want %d", got.AtMost[bound], bound, want)
		}
	}
}
