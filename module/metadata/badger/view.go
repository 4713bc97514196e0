package badger

import "context"

// current returns what the store has open, which may be closed meanwhile.
func (s *Store) current() (*opened, error) {
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.opened == nil {
		return nil, s.unavailable()
	}
	return s.opened, nil
}

// view runs a read, unless the store is closed. What it did not find was not there.
func (s *Store) view(ctx context.Context, read func(r reader) error) error {
	return s.read(ctx, read, false)
}

// find is view for a read that has found what it wanted when it returns nil.
func (s *Store) find(ctx context.Context, read func(r reader) error) error {
	return s.read(ctx, read, true)
}

func (s *Store) read(ctx context.Context, read func(r reader) error, finds bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.use.RLock()
	defer s.use.RUnlock()
	if s.closed || s.opened == nil {
		return s.unavailable()
	}
	err := s.opened.db.view(read)
	if err == nil && finds {
		return nil
	}
	if lost := s.trust(); lost != nil {
		return lost
	}
	return err
}
