package receive

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// drip is a body of which each read takes a time and gives some bytes.
type drip struct {
	clock *time.Time
	every time.Duration
	bytes int
	reads int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.reads == 0 {
		return 0, io.EOF
	}
	d.reads--
	*d.clock = d.clock.Add(d.every)
	return min(d.bytes, len(p)), nil
}

func TestUploadsBelowTheLeastRateAreEnded(t *testing.T) {
	const window = 30 * time.Second
	for _, test := range []struct {
		name  string
		every time.Duration
		bytes int
		reads int
		ended bool
	}{
		{"a byte every 2.4 seconds", 2400 * time.Millisecond, 1, 60, true},
		{"a byte every millisecond", time.Millisecond, 1, 60_000, true},
		{"half of the rate", time.Second, 512, 60, true},
		{"the rate", time.Second, 1024, 60, false},
		{"bursts at the rate", 20 * time.Second, 20 << 10, 10, false},
		{"much at once and then nothing", 0, 4096, 1, false},
		{"a drip that is over before it is judged", time.Second, 1, 29, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var clock time.Time
			body := &pacedBody{
				ReadCloser: io.NopCloser(&drip{&clock, test.every, test.bytes, test.reads}), least: 1024, window: window,
				now: func() time.Time { return clock },
			}
			_, err := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body})
			if errors.Is(err, os.ErrDeadlineExceeded) != test.ended || !test.ended && err != nil {
				t.Errorf("error is %v, want ended %v", err, test.ended)
			}
			if ended := clock.Sub(time.Time{}); test.ended && ended > window+test.every {
				t.Errorf("it is ended after %v", ended)
			}
		})
	}
}

// TestTimeThatTheRegistryTakesIsNotTheClientsFault: only the time of reads counts.
func TestTimeThatTheRegistryTakesIsNotTheClientsFault(t *testing.T) {
	var clock time.Time
	body := &pacedBody{
		ReadCloser: io.NopCloser(&drip{&clock, time.Millisecond, 1 << 10, 100}), least: 1 << 10, window: time.Second,
		now: func() time.Time { return clock },
	}
	buffer := make([]byte, 1<<10)
	for range 100 {
		if _, err := body.Read(buffer); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Minute) // a slow disk
	}
}

// TestAPauseWithinTheStallTimeoutIsNoDrip.
//
// Seen to fail where the rate is compared every 30 seconds all the same.
func TestAPauseWithinTheStallTimeoutIsNoDrip(t *testing.T) {
	var clock time.Time
	limits := Limits{StallTimeout: 5 * time.Minute, LeastRate: DefaultLeastRate}
	r := httptest.NewRequest(http.MethodPut, "/", nil)
	paced, done := limits.pace(httptest.NewRecorder(), r, io.NopCloser(&drip{&clock, 90 * time.Second, 1, 1}))
	defer done()
	body := paced.(*pacedBody)
	body.now = func() time.Time { return clock }
	if _, err := body.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// deadlines is a writer that keeps the read deadlines it is given.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(deadline time.Time) error {
	d.set = append(d.set, deadline)
	return nil
}

// TestTheTimeoutIsTheServersAgain once an upload is read: the server bounds what it reads of the
// body afterwards by its own timeout and rate.
//
// Seen to fail without the end of the override.
func TestTheTimeoutIsTheServersAgain(t *testing.T) {
	const own, ownRate = time.Minute, 1 << 10
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader("body"))
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	server := &caddyhttp.IdleTimeoutReader{
		ReadCloser: r.Body, Ctrl: http.NewResponseController(w), Logger: zap.NewNop(),
		Deadline: caddyhttp.IdleDeadline{Start: time.Now(), Timeout: own, MinRate: ownRate}, DrainDeadline: true,
	}
	r.Body = server
	r = r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), server, nil))
	body, done := Limits{StallTimeout: time.Hour, LeastRate: RateOff}.Paced(w, r, true)
	if _, err := body.Read(make([]byte, 1)); err != nil || time.Until(w.set[len(w.set)-1]) <= own {
		t.Errorf("%v: the upload may pause until %v", err, w.set)
	}
	done()
	if server.Deadline.Timeout != own || server.Deadline.MinRate != ownRate {
		t.Errorf("afterwards the server's deadline is %+v", &server.Deadline)
	}
	server.HandlerDone()
	if time.Until(w.set[len(w.set)-1]) > 2*own {
		t.Errorf("the rest of the body may come until %v", w.set)
	}
}

// TestAServerWithoutATimeoutIsLeftAlone once an upload is read: its connection may bring the next
// request at that time.
//
// Seen to fail where the reader is not told that the upload is over.
func TestAServerWithoutATimeoutIsLeftAlone(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader("body"))
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	body, done := Limits{StallTimeout: time.Hour, LeastRate: RateOff}.Paced(w, r, true)
	if _, err := body.Read(make([]byte, 1)); err != nil || len(w.set) != 1 {
		t.Fatalf("%v, deadlines %v", err, w.set)
	}
	done()
	if _, err := io.ReadAll(body); err != nil || len(w.set) != 1 {
		t.Errorf("%v, afterwards it sets %v", err, w.set)
	}
}

// TestASlowRegistryIsNoStall: over HTTP/2 a deadline ends the body though nobody reads.
//
// Seen to fail with a deadline that is left between two reads.
func TestASlowRegistryIsNoStall(t *testing.T) {
	const timeout = time.Second
	sent, send := io.Pipe()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, done := Limits{StallTimeout: timeout, LeastRate: RateOff}.Paced(w, r, true)
		defer done()
		if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		<-time.After(4 * timeout) // a slow disk
		go func() {
			_, _ = io.WriteString(send, "the rest")
			_ = send.Close()
		}()
		if rest, err := io.ReadAll(body); err != nil || string(rest) != "the rest" {
			t.Errorf("%q, %v", rest, err)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	response, err := server.Client().Post(server.URL, "", io.MultiReader(strings.NewReader("x"), sent))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		t.Errorf("over %s", response.Proto)
	}
}
