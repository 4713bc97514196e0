package disktest

import (
	"fmt"
	"os"
)

// change is what was done to a place of an edited file: some bytes were written, or the
// file was cut there.
type change struct {
	from  int64
	bytes []byte
	cut   bool
}

// keepImage begins to keep what is durable of a file.
func (n *node) keepImage() (err error) {
	if n.edited {
		return nil
	}
	content, err := os.ReadFile(n.path)
	if err != nil {
		return fmt.Errorf("reading what is durable: %w", err)
	}
	n.image, n.edited = n.survives(content), true
	return nil
}

// change notes bytes that were written, or zeros where some were taken out.
func (n *node) change(from int64, bytes []byte) {
	n.changes = append(n.changes, change{from: from, bytes: append([]byte(nil), bytes...)})
}

// persist makes those changes durable that are wanted. The others are lost, but for what they
// have in the sectors of a later one: a sector is written as the system has it.
func (n *node) persist(wanted func(change int) bool) {
	for i, c := range n.changes {
		if !wanted(i) {
			continue
		}
		for _, before := range n.changes[:i] {
			if part := before.within(c); len(part.bytes) > 0 {
				n.image = part.apply(n.image)
			}
		}
		n.image = c.apply(n.image)
	}
	n.changes = nil
}

// sector is the least that a disk writes.
const sector = 512

// within returns what a change has in the sectors of another one.
func (c change) within(other change) change {
	from := max(c.from, other.from/sector*sector)
	to := min(c.from+int64(len(c.bytes)), (other.from+int64(len(other.bytes))+sector-1)/sector*sector)
	if from >= to {
		return change{}
	}
	return change{from: from, bytes: c.bytes[from-c.from : to-c.from]}
}

func (c change) apply(image []byte) []byte {
	end := c.from + int64(len(c.bytes))
	if grown := end - int64(len(image)); grown > 0 {
		image = append(image, make([]byte, grown)...)
	}
	if c.cut {
		return image[:c.from]
	}
	copy(image[c.from:], c.bytes)
	return image
}

// loseBytes is a sync that fails.
func (n *node) loseBytes() {
	if !n.edited {
		n.lost = true
		return
	}
	n.changes = nil
	n.failures++
}
