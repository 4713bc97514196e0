package store

import (
	"sync/atomic"
	"time"
)

// Measures are what a store has done since it was opened.
type Measures struct {
	// Batches are the times that changes took to become durable, those that came at one
	// moment together.
	Batches Times
	// Checkpoint is the last change that a checkpoint of the journal stands for. Zero when
	// there is none, and where the store makes none.
	Checkpoint uint64
	// Checkpointed is when that was made. Zero when there is none.
	Checkpointed time.Time
	// Bytes and JournalBytes are what the files of the database have, and those of the journal.
	Bytes, JournalBytes int64
}

// Measured is implemented by a MetadataStore that counts what it does.
type Measured interface {
	// Measures returns what was counted, after a look at the sizes of files. It works after
	// Close too.
	Measures() Measures
}

// timeBounds are the upper bounds of the classes of Times.
var timeBounds = [...]time.Duration{
	time.Millisecond, 4 * time.Millisecond, 16 * time.Millisecond, 64 * time.Millisecond,
	250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second,
}

// Times are how long something took, in classes.
type Times struct {
	// Count of all, and their Sum.
	Count uint64
	Sum   time.Duration
	// AtMost has, for the upper bound of each class, how many took no longer.
	AtMost map[time.Duration]uint64
}

// Timer counts how long something takes. The zero value has counted nothing. All methods
// may run concurrently.
type Timer struct {
	sum     atomic.Int64
	classes [len(timeBounds) + 1]atomic.Uint64
}

// Note counts one.
func (t *Timer) Note(took time.Duration) {
	class := 0
	for class < len(timeBounds) && took > timeBounds[class] {
		class++
	}
	t.classes[class].Add(1)
	t.sum.Add(int64(took))
}

// Times returns what was counted.
func (t *Timer) Times() Times {
	times := Times{Sum: time.Duration(t.sum.Load()), AtMost: make(map[time.Duration]uint64, len(timeBounds))}
	for class := range t.classes {
		times.Count += t.classes[class].Load()
		if class < len(timeBounds) {
			times.AtMost[timeBounds[class]] = times.Count
		}
	}
	return times
}
