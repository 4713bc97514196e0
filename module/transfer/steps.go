package transfer

import (
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Steps gives a body in steps, each of which ends with io.EOF, and knows how it ended.
type Steps struct {
	Body io.Reader
	// Left is how many bytes of the step are to come. The next one begins when it is set.
	Left int64
	// Came is how many bytes of the body came.
	Came int64
	// End is how the body ended, nil while there is more.
	End error
}

// Read implements io.Reader.
func (s *Steps) Read(p []byte) (int, error) {
	if s.Left == 0 || s.End != nil {
		return 0, io.EOF
	}
	n, err := s.Body.Read(p[:min(int64(len(p)), s.Left)])
	s.Left -= int64(n)
	s.Came += int64(n)
	s.End = err
	if err != nil {
		return n, io.EOF
	}
	return n, nil
}

// Fault is why the body did not come whole, else another error.
func (s *Steps) Fault(other error) error {
	if s.End != nil && s.End != io.EOF {
		return &store.BodyError{Err: s.End}
	}
	return other
}
