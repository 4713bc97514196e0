package bucket

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// TestWhatIsTheServersFault and what is that of whoever asked is told by the request's context.
// Seen to fail with a look at the error, in which a deadline of the dialer is as one of the client.
func TestWhatIsTheServersFault(t *testing.T) {
	silent := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true, UnwrapErr: context.DeadlineExceeded}}
	for _, test := range []struct {
		name  string
		cause error // of the end of the context; nil when it has not ended
		want  bool
	}{
		{"a name server that is silent", nil, true},
		{"a server that is silent", errSilent, true},
		{"a client that has gone", context.Canceled, false},
		{"a client that waits no longer", context.DeadlineExceeded, false},
		{"an upload that is dropped", errStopped, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := bucketAt(t, "http://127.0.0.1:1")
			dog := watch(t.Context(), time.Minute)
			defer dog.End(nil)
			if test.cause != nil {
				dog.End(test.cause)
			}
			if err := b.answered(dog, "asking", fmt.Errorf("asking: %w", silent)); err == nil {
				t.Error("no error")
			}
			if fault := b.Fault(); (fault != nil) != test.want {
				t.Errorf("the fault is %v, want one: %v", fault, test.want)
			}
		})
	}
}
