package disk

import "math"

// Space is the room that is left in a file system.
type Space struct {
	// Bytes that may still be written.
	Bytes uint64
	// Files that may still be made. Unlimited where only bytes are counted.
	Files uint64
}

// Unlimited is a number of files that never runs out.
const Unlimited = math.MaxUint64
