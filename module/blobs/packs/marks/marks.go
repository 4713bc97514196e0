// Package marks knows of a pack, in memory, which of its slots have a blob, and what is done to
// it. Nobody who asks waits for a disk.
package marks

import (
	"slices"
	"sync"
)

// Marks are those of one pack. All methods may run concurrently.
type Marks struct {
	mu      sync.Mutex
	live    []uint64 // a bit for each slot with a blob
	damaged map[int]bool
	taken   map[int]bool // blobs that are being deleted
	written bool
	removed bool
}

// New is for a pack without a blob.
func New(slots int) *Marks {
	return &Marks{live: make([]uint64, (slots+63)/64), damaged: make(map[int]bool), taken: make(map[int]bool)}
}

// State tells of a slot whether it has a blob that is whole, and whether it is damaged.
func (m *Marks) State(slot int) (whole, damaged bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.has(slot), m.damaged[slot]
}

// IsFree tells whether a slot has no blob, not even one that is damaged or being deleted.
func (m *Marks) IsFree(slot int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.has(slot) && !m.damaged[slot] && !m.taken[slot]
}

// has requires m.mu.
func (m *Marks) has(slot int) bool {
	return slot/64 < len(m.live) && m.live[slot/64]&(1<<(slot%64)) != 0
}

// Set notes that slots have blobs.
func (m *Marks) Set(slots ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, slot := range slots {
		m.live[slot/64] |= 1 << (slot % 64)
	}
}

// Clear notes that slots have no blobs.
func (m *Marks) Clear(slots ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, slot := range slots {
		m.live[slot/64] &^= 1 << (slot % 64)
	}
}

// Damage notes that a slot does not have its checksum.
func (m *Marks) Damage(slot int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.damaged[slot] = true
}

// Damaged is how many slots do not have their checksums.
func (m *Marks) Damaged() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.damaged)
}

// Take begins the deletion of a blob: nobody finds it from now on. It returns false when there
// is none, and else how the deletion ends, which keeps the blob or does not.
func (m *Marks) Take(slot int) (end func(kept bool), is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	damaged := m.damaged[slot]
	if !damaged && !m.has(slot) {
		return nil, false
	}
	m.taken[slot] = true
	m.live[slot/64] &^= 1 << (slot % 64)
	delete(m.damaged, slot)
	return func(kept bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.taken, slot)
		switch {
		case kept && damaged:
			m.damaged[slot] = true
		case kept:
			m.live[slot/64] |= 1 << (slot % 64)
		}
	}, true
}

// IsVacant tells whether the slots from one on, and before another one, have no blob but the one
// that is being deleted, of a pack that nobody writes to.
func (m *Marks) IsVacant(from, to int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	vacant := !m.written && len(m.taken) == 1
	for slot := from; vacant && slot < to; slot++ {
		vacant = !m.has(slot) && !m.damaged[slot]
	}
	return vacant
}

// BeginWriting has the pack stay until EndWriting. False when it was removed.
func (m *Marks) BeginWriting() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = !m.removed
	return m.written
}

// EndWriting lets the pack be removed.
func (m *Marks) EndWriting() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = false
}

// Remove takes the pack for removed, and returns true, if it has no blob, nobody writes to it or
// deletes from it, nothing else needs it, and it is not removed already.
func (m *Marks) Remove(isNeeded func() bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written || m.removed || len(m.taken) > 0 || len(m.damaged) > 0 || isNeeded() {
		return false
	}
	if slices.ContainsFunc(m.live, func(word uint64) bool { return word != 0 }) {
		return false
	}
	m.removed = true
	return true
}

// Keep takes back Remove.
func (m *Marks) Keep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removed = false
}

// IsRemoved tells whether the pack was removed.
func (m *Marks) IsRemoved() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.removed
}
