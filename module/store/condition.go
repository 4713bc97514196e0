package store

import "time"

// Condition is the state of a store.
type Condition struct {
	// Fault is why the store takes no changes now. Nil when it takes changes.
	Fault error
	// Readable tells whether reads go on.
	Readable bool
	// Damage is known damage that does not keep the store from working now. Nil when there
	// is none.
	Damage error
	// Space of the disk that the store is on. Zero where there is no disk.
	Space Space
	// Journal is the last change that the store has journalled. Of a store without a journal
	// it has no chain, and its sequence counts changes as far as that is known at once. Zero
	// before the first change.
	Journal Position
}

// Space is the free space on a store's disk.
type Space struct {
	// Free is how many bytes may still be written.
	Free uint64
	// Reserve is how many bytes uploads leave free.
	Reserve uint64
	// FreeFiles is how many files may still be made, ReserveFiles how many of them
	// uploads leave. Both are zero where files are limited by bytes alone.
	FreeFiles, ReserveFiles uint64
	// FreeDescriptors is how many more files the process may open, ReserveDescriptors how
	// many of them uploads leave. Both are zero where that is not known, or the store
	// opens none.
	FreeDescriptors, ReserveDescriptors uint64
}

// Scrub is a pass over all blobs that compares each with its digest.
type Scrub struct {
	// Started is when the pass began. Zero when there was none.
	Started time.Time
	// Finished is when the pass ended. Zero while it is in progress.
	Finished time.Time
	// Last is the digest that was compared last; the pass goes on after it.
	Last Digest
	// Blobs and Bytes that were read in the pass.
	Blobs, Bytes int64
	// Damaged is how many of the blobs were missing or not what was published.
	Damaged int64
}

func (c Condition) TakesChanges() bool { return c.Fault == nil && !c.Space.IsShort() }

// IsShort tells whether less than the reserve is free.
func (s Space) IsShort() bool {
	return s.Free < s.Reserve || s.FreeFiles < s.ReserveFiles || s.FreeDescriptors < s.ReserveDescriptors
}

// Add counts a blob that was read.
func (s *Scrub) Add(blob Blob, damaged bool) {
	s.Blobs++
	s.Bytes += blob.Size
	if damaged {
		s.Damaged++
	}
}
