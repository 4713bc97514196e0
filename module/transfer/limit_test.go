package transfer

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLimitBody(t *testing.T) {
	tooMuch := errors.New("too much")
	for _, test := range []struct {
		name  string
		limit int64
		want  string
		err   error
	}{
		{"less than the limit", 5, "1234", nil},
		{"as much as the limit", 4, "1234", nil},
		{"more than the limit", 3, "123", tooMuch},
		{"nothing is allowed", 0, "", tooMuch},
		{"one less than the largest limit", math.MaxInt64 - 1, "1234", nil},
		{"the largest limit that there is", math.MaxInt64, "1234", nil},
	} {
		got, err := io.ReadAll(LimitBody(strings.NewReader("1234"), test.limit, tooMuch))
		if string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v; want %q, %v", test.name, got, err, test.want, test.err)
		}
	}
}
