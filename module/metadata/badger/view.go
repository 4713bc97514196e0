package badger

import "context"

// enter returns what the store has open, which stays so until the caller gives s.use
// back (RUnlock). ErrUnavailable, at once, when there is nothing.
func (s *Store) enter() (*opened, error) {
	if s.closed.Load() || s.away.Load() {
		return nil, s.unavailable()
	}
	s.use.RLock()
	if s.closed.Load() || s.opened == nil {
		s.use.RUnlock()
		return nil, s.unavailable()
	}
	return s.opened, nil
}

// current returns what the store has open, which may be closed meanwhile.
func (s *Store) current() (*opened, error) {
	o, err := s.enter()
	if err == nil {
		s.use.RUnlock()
	}
	return o, err
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
	o, err := s.enter()
	if err != nil {
		return err
	}
	defer s.use.RUnlock()
	err = o.db.view(read)
	if err == nil && finds {
		return nil
	}
	if lost := s.trust(); lost != nil {
		return lost
	}
	return err
}
