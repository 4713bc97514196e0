package transfer

import "io"

// LimitBody returns a reader of the first limit bytes of a body, and of err in place of the
// byte after them.
func LimitBody(body io.Reader, limit int64, err error) io.Reader {
	return &limitedBody{body: body, left: limit, err: err}
}

type limitedBody struct {
	body io.Reader
	left int64
	err  error
}

func (l *limitedBody) Read(p []byte) (int, error) {
	// One byte more than allowed tells what fits from what does not.
	if int64(len(p))-1 > l.left {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if int64(n) > l.left {
		return int(l.left), l.err
	}
	l.left -= int64(n)
	return n, err
}
