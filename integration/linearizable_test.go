package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// content is the bytes of a publish, which begin with its number.
func content(number int) []byte {
	return append(fmt.Appendf(nil, "%d ", number), pattern(number, number%7*3000)...)
}

// caller is one client of a history.
type caller struct {
	id         int
	random     *rand.Rand
	pkg        string
	began      time.Time
	published  int
	operations []porcupine.Operation
}

// newCallers are so many clients of a history, with one clock.
func newCallers(history, many int) []*caller {
	clients, began := make([]*caller, many), time.Now()
	for i := range clients {
		random := rand.New(rand.NewPCG(uint64(history), uint64(i)))
		clients[i] = &caller{id: i, random: random, pkg: fmt.Sprint("history", history), began: began}
	}
	return clients
}

func (c *caller) draw() call {
	in := call{version: c.random.IntN(modelVersions), file: c.random.IntN(len(modelFiles))}
	switch n := c.random.IntN(20); {
	case n < 9:
		c.published++
		in.method, in.content = http.MethodPut, c.published*100+c.id
	case n < 15:
		in.method = http.MethodGet
	case n < 18:
		in.method = http.MethodDelete
	default:
		in.method, in.file = http.MethodDelete, wholeVersion
	}
	return in
}

// ask sends a request and records it. An unanswered one is still open.
func (c *caller) ask(s *server, in call) (answered bool) {
	operation, got, err := c.send(s, in)
	operation.Output = resultOf(got, err)
	c.operations = append(c.operations, operation)
	return operation.Output != result{}
}

// send sends a request, and tells when that was.
func (c *caller) send(s *server, in call) (operation porcupine.Operation, got answer, err error) {
	last := fmt.Sprint("v", in.version)
	path := versionPath("alice", c.pkg, last)
	if in.file != wholeVersion {
		last = modelFiles[in.file]
		path += "/" + last
	}
	if c.random.IntN(2) == 0 { // identity ignores case
		path = strings.TrimSuffix(path, last) + strings.ToUpper(last)
	}
	var body []byte
	if in.method == http.MethodPut {
		body = content(in.content)
	}
	operation = porcupine.Operation{ClientId: c.id, Input: in, Call: int64(time.Since(c.began))}
	got, err = s.try(in.method, path, "alice", bytes.NewReader(body))
	operation.Return = int64(time.Since(c.began))
	return operation, got, err
}

func resultOf(got answer, err error) (out result) {
	switch {
	case err != nil || got.status >= 500:
		return result{} // it may have happened all the same
	case got.status >= 400:
		out.refusal = got.text()
	case got.status == http.StatusOK:
		number, _, _ := bytes.Cut(got.body, []byte(" "))
		out.content, err = strconv.Atoi(string(number))
		if err != nil || !bytes.Equal(got.body, content(out.content)) {
			out.content = -1 // what nobody published
		}
	}
	out.status = got.status
	return out
}

// life runs all clients, each for a number of requests or, with none, until the
// server is killed. What was not answered may have happened up to the end of the
// life, not in the next: a restarted server does not change its mind.
func life(s *server, clients []*caller, requests int) {
	s.Helper()
	var answered atomic.Int64
	var running sync.WaitGroup
	before := make([]int, len(clients))
	for i, c := range clients {
		before[i] = len(c.operations)
		running.Go(func() {
			for n := 0; (requests == 0 || n < requests) && c.ask(s, c.draw()); n++ {
				answered.Add(1)
			}
		})
	}
	if requests == 0 {
		s.eventually("the clients are at work", func() bool { return answered.Load() >= 300 })
		s.kill()
	}
	running.Wait()
	end := int64(time.Since(clients[0].began))
	for i, c := range clients {
		for j, operation := range c.operations[before[i]:] {
			if operation.Output != (result{}) {
				continue
			}
			c.operations[before[i]+j].Return = end
			if requests > 0 {
				s.Errorf("client %d has no answer, or 5xx, to %s", c.id, operation.Input)
			}
		}
	}
}

// TestHistoriesAreLinearizable: however 8 clients meet on a few files, there is an
// order of their requests, each within the time that it took, in which a registry
// with one client gives the same answers. A kill changes nothing but that the
// requests it cut may or may not have happened.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	histories := 6
	if isLong() {
		histories = 240
	}
	s := startServer(t)
	heard := make(map[string]bool)
	for h := range histories {
		kills := h % 3
		name := fmt.Sprintf("history %d with %d kills", h, kills)
		clients := newCallers(h, 8)
		for range kills {
			life(s, clients, 0)
			s.client.CloseIdleConnections()
			s.start(s.site())
		}
		life(s, clients, 200/(1+kills))
		var history []porcupine.Operation
		for _, c := range clients {
			history = append(history, c.operations...)
		}
		for _, operation := range history {
			out := operation.Output.(result)
			out.content = 0
			heard[fmt.Sprintf("%s: %v", operation.Input.(call).method, out)] = true
		}
		mustBeLinearizable(t, name, history)
		if t.Failed() {
			t.Fatalf("in %s", name)
		}
	}
	for _, want := range []string{
		"PUT: 201", "PUT: 409 package file already exists", "PUT: no answer", "GET: 200", "DELETE: 204", "DELETE: no answer",
		"GET: 404 package does not exist", "GET: 404 package file does not exist",
		"DELETE: 404 package does not exist", "DELETE: 404 package file does not exist",
	} {
		if !heard[want] {
			t.Errorf("no history has %q: this test tests too little", want)
		}
	}
}

// mustBeLinearizable checks a history. One that is not is drawn for a browser, and
// told up to where the longest order found ends.
func mustBeLinearizable(t *testing.T, name string, history []porcupine.Operation) {
	t.Helper()
	switch verdict := porcupine.CheckOperationsTimeout(versionModel, history, patience); verdict {
	case porcupine.Ok:
		return
	case porcupine.Unknown:
		t.Errorf("%s of %d requests: not decided in %s", name, len(history), patience)
		return
	}
	_, info := porcupine.CheckOperationsVerbose(versionModel, history, patience)
	page := filepath.Join(t.ArtifactDir(), strings.ReplaceAll(name, " ", "-")+".html")
	if err := porcupine.VisualizePath(versionModel, info, page); err != nil {
		t.Error(err)
	}
	t.Errorf("%s of %d requests is not linearizable; drawn in %s (kept with -artifacts)", name, len(history), page)
	for version, orders := range info.PartialLinearizationsOperations() {
		var longest []porcupine.Operation // none when the first request is wrong
		for _, order := range orders {
			if len(order) > len(longest) {
				longest = order
			}
		}
		if total := len(versionModel.Partition(history)[version]); len(longest) < total {
			t.Errorf("version %d: an order of %d of %d requests; its end:\n%s\nwithout a place:\n%s", version, len(longest), total,
				transcript(longest[max(0, len(longest)-20):]), transcript(outside(history, version, longest)))
		}
	}
}

// outside returns the first requests on a version that an order does not have.
func outside(history []porcupine.Operation, version int, order []porcupine.Operation) (rest []porcupine.Operation) {
	for _, operation := range history {
		if operation.Input.(call).version == version && !slices.Contains(order, operation) {
			rest = append(rest, operation)
		}
	}
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return rest[:min(20, len(rest))]
}

func transcript(operations []porcupine.Operation) string {
	var text strings.Builder
	for _, o := range operations {
		fmt.Fprintf(&text, "client %d, %s to %s: %v: %v\n", o.ClientId, time.Duration(o.Call), time.Duration(o.Return), o.Input, o.Output)
	}
	return text.String()
}
