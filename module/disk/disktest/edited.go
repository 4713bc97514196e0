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

// persist makes those changes durable that are wanted. The others are lost.
func (n *node) persist(wanted func(change int) bool) {
	for i, c := range n.changes {
		if wanted(i) {
			n.image = c.apply(n.image)
		}
	}
	n.changes = nil
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
