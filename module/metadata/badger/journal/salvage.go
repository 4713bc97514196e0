package journal

import (
	"errors"
	"io/fs"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Salvage calls fn with the changes that follow a position of a store, as far as they
// are whole, in a journal of which everything before may be damaged or missing. It
// returns the last position that it got to, and the highest number of a change that is
// there beyond: those cannot be told from damage. A journal that is not there has none.
func Salvage(path, store string, after registry.Position, fn func(change registry.Change, chain registry.Digest) error) (end registry.Position, beyond uint64, err error) {
	segments, err := segmentsIn(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return after, 0, err
	}
	end = after
	for _, of := range segments {
		if of.compressed && of.last <= after.Sequence {
			continue
		}
		if end, beyond, err = of.salvage(path, store, end, beyond, fn); err != nil {
			return end, beyond, err
		}
	}
	return end, beyond, nil
}

// salvage goes on in one segment. What cannot be read is passed over.
func (of segment) salvage(path, store string, end registry.Position, beyond uint64, fn func(registry.Change, registry.Digest) error) (registry.Position, uint64, error) {
	s, err := openSegment(path, store, of)
	if err != nil {
		return end, max(beyond, of.first), nil
	}
	defer s.Close()
	for {
		line, err := s.line()
		if err != nil {
			return end, beyond, nil
		}
		change, chain, err := registry.LineChain(line)
		if err != nil {
			continue
		}
		if change.Sequence == end.Sequence+1 {
			if _, _, err := registry.ParseLine(line, end.Chain); err == nil {
				if err := fn(change, chain); err != nil {
					return end, beyond, err
				}
				end = registry.Position{Sequence: change.Sequence, Chain: chain}
				continue
			}
		}
		if change.Sequence > end.Sequence {
			beyond = max(beyond, change.Sequence)
		}
	}
}
