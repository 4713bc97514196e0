package packs

// Layout says how much fits into a pack. Packs can only be read with the number of slots
// that they were made with.
type Layout struct {
	Slots, Blocks int
	// Step is how many bytes are prepared at once.
	Step int64
	// Open is how many packs are open to be read.
	Open int
}

func (l Layout) table() int64 {
	return int64(l.Slots*slotSize+blockSize-1) / blockSize * blockSize
}

// at is where a block begins.
func (l Layout) at(block int) int64 { return l.table() + int64(block)*blockSize }
