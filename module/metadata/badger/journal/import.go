package journal

import (
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// importChunk is how much of an import is made durable at a time.
const importChunk = 1 << 20

// Import appends lines that Read gave, as they are. Each must follow the one before
// it, the first of all the journal's last. ErrDamaged when one does not; those
// before it stay.
func (j *Journal) Import(lines io.Reader) error {
	s := newSource(lines, j.Position())
	var chunk []byte
	for {
		line, _, err := s.next()
		if err != nil && err != io.EOF {
			return fmt.Errorf("importing journal: %w", err)
		}
		chunk = append(chunk, line...)
		if len(chunk) > 0 && (err == io.EOF || len(chunk) >= importChunk) {
			if err := j.write(chunk, s.position); err != nil {
				return fmt.Errorf("importing journal: %w", err)
			}
			chunk = chunk[:0]
		}
		if err == io.EOF {
			return nil
		}
	}
}

// newSource reads lines that follow a position.
func newSource(lines io.Reader, after registry.Position) *source {
	return &source{reader: newReader(lines), position: after}
}
