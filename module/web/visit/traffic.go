package visit

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// Operations of requests, for counting.
const (
	OperationPublish  = "publish"
	OperationDownload = "download"
	OperationDelete   = "delete"
	OperationResume   = "resume"
	OperationBrowse   = "browse"
	OperationAPI      = "api"
)

// operationOf names what a request does.
func operationOf(wing Wing, method string) string {
	if counted, ok := wing.(Counted); ok {
		return counted.Operation
	}
	switch ActionOf(method) {
	case grant.Write:
		return OperationPublish
	case grant.Delete:
		return OperationDelete
	}
	if method == http.MethodPost { // of a draft
		return OperationPublish
	}
	return OperationDownload
}

// Traffic counts the requests for one root, whatever configuration they came to. All methods
// may run concurrently.
type Traffic struct {
	received, sent atomic.Int64

	mu       sync.Mutex
	requests map[Answered]int64
	refusals map[string]int64
}

// Answered is what is counted of a request.
type Answered struct {
	// Operation is one of the constants.
	Operation string
	// Status is that of the answer; one that was broken off has the status it began with.
	Status int
}

// Counts are what was counted since the process began.
type Counts struct {
	// Received and Sent are the bytes of bodies.
	Received, Sent int64
	// Requests that have been answered.
	Requests map[Answered]int64
	// Refusals by their reason, of which there is a fixed number.
	Refusals map[string]int64
}

// Counts returns what was counted.
func (t *Traffic) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Counts{t.received.Load(), t.sent.Load(), maps.Clone(t.requests), maps.Clone(t.refusals)}
}

func (t *Traffic) note(operation string, status int, refused error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests == nil {
		t.requests, t.refusals = make(map[Answered]int64), make(map[string]int64)
	}
	t.requests[Answered{operation, status}]++
	if refused != nil {
		t.refusals[reasonOf(refused)]++
	}
}

// traffics has the Traffic of each root that the process had in a configuration. A counter
// outlives configurations, so nothing is removed.
var traffics = struct {
	mu     sync.Mutex
	byRoot map[string]*Traffic
}{byRoot: make(map[string]*Traffic)}

// TrafficOf returns the counters of a root.
func TrafficOf(root string) *Traffic {
	traffics.mu.Lock()
	defer traffics.mu.Unlock()
	if traffics.byRoot[root] == nil {
		traffics.byRoot[root] = new(Traffic)
	}
	return traffics.byRoot[root]
}

// AllTraffic returns the counters of all roots.
func AllTraffic() map[string]*Traffic {
	traffics.mu.Lock()
	defer traffics.mu.Unlock()
	return maps.Clone(traffics.byRoot)
}

// reasons name the errors that requests are refused for; the first that matches counts.
var reasons = []struct {
	err  error
	name string
}{
	{ErrUnauthenticated, "unauthenticated"},
	{ErrForbidden, "forbidden"},
	{ErrScope, "token_scope"},
	{ErrCrossSite, "cross_site"},
	{store.ErrExists, "exists"},
	{store.ErrChanged, "precondition"},
	{store.ErrDraft, "draft"},
	{store.ErrNotDraft, "draft"},
	{store.ErrDifferent, "draft"},
	{store.ErrQuotaBytes, "quota"},
	{store.ErrQuotaVersions, "quota"},
	{store.ErrQuotaFiles, "quota"},
	{store.ErrQuotaDrafts, "quota"},
	{store.ErrBusy, "busy"},
	{store.ErrDigest, "digest"},
}

// reasonOf names why a request was refused. What no error tells, the status does.
func reasonOf(err error) string {
	if broken := new(BrokenOff); errors.As(err, &broken) {
		return "broken_off"
	}
	for _, reason := range reasons {
		if errors.Is(err, reason.err) {
			return reason.name
		}
	}
	switch status, _, _ := statusOf(err); status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusRequestTimeout:
		return "slow"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusInternalServerError:
		return "fault"
	case http.StatusServiceUnavailable:
		return "unavailable"
	case http.StatusInsufficientStorage:
		return "no_space"
	}
	return "request"
}

// counted is a response whose status and bytes are counted.
type counted struct {
	caddyhttp.ResponseWriterWrapper
	sent   *atomic.Int64
	status int // 0 as long as there is none
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	if c.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		c.status = status
	}
	c.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counted) Write(p []byte) (int, error) {
	c.begun()
	n, err := c.ResponseWriterWrapper.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// ReadFrom implements io.ReaderFrom, with which the kernel sends files.
func (c *counted) ReadFrom(from io.Reader) (int64, error) {
	c.begun()
	n, err := c.ResponseWriterWrapper.ReadFrom(from)
	c.sent.Add(n)
	return n, err
}

func (c *counted) begun() {
	if c.status == 0 {
		c.status = http.StatusOK
	}
}
