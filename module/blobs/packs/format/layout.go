package format

// Layout says how much fits into a pack. Packs can only be read with the number of slots
// that they were made with.
type Layout struct {
	Slots, Blocks int
	// Lines is how many bytes a pack has for lines of a journal, in whole blocks.
	Lines int64
	// Step is how many bytes are prepared at once.
	Step int64
	// Open is how many packs are open to be read.
	Open int
}

// Table is how many bytes the table takes.
func (l Layout) Table() int64 {
	return int64(l.Slots*SlotSize+BlockSize-1) / BlockSize * BlockSize
}

// Head is what comes before the content: the table, and the lines.
func (l Layout) Head() int64 { return l.Table() + l.Lines }

// At is where a block begins.
func (l Layout) At(block int) int64 { return l.Head() + int64(block)*BlockSize }
