package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	historyVersions = 4 // of a client's package
	historyFiles    = 6 // of a version

	// absent is the content of a file that is not there. Others are named by their
	// SHA-256.
	absent = ""
)

// smallOrLarge draws a size: most go into packs, some do not.
func smallOrLarge(random *rand.Rand) int {
	if random.IntN(5) == 0 {
		return 60_000 + random.IntN(20_000)
	}
	return 1 + random.IntN(9_000)
}

// history is what one client knows of its files: each operation that was not
// answered may or may not have happened.
type history struct {
	client int
	files  map[string]possible
	random *rand.Rand
	serial int

	// size draws the size of the next content.
	size func(random *rand.Rand) int
	// refusals are statuses that may be answered at any time and leave everything
	// as it was; after one that is unclear, the operation may have happened.
	refusals, unclear []int
	// pending are contents that an unclear operation may still give a file, until a
	// change of it succeeds or the server is started anew: a refusal settles nothing.
	pending map[string]possible

	// final is what the log says when the server will not answer any more; empty: it will.
	final string

	// together are the files of a version that may have been deleted: all of them
	// or none.
	together []string
}

// possible are the contents that a file may have.
type possible []string

func newHistory(client int) *history {
	return &history{
		client:  client,
		files:   make(map[string]possible),
		pending: make(map[string]possible),
		random:  rand.New(rand.NewPCG(uint64(client), 1)),
		size:    smallOrLarge,
	}
}

func (h *history) version(version int) string {
	return versionPath("alice", fmt.Sprint("crash", h.client), fmt.Sprint(version))
}

func (h *history) path(version, file int) string { return h.version(version) + fmt.Sprint("/f", file) }

// work publishes and deletes until the server is gone. It returns what the server
// answered that it must not.
func (h *history) work(s *server, answered *atomic.Int64) error {
	for ; ; answered.Add(1) {
		if status, err := h.next(s); err != nil || status == 0 {
			return err
		}
	}
}

// operate does so many operations, each of which must be answered.
func (h *history) operate(s *server, operations int) error {
	for range operations {
		if status, err := h.next(s); err != nil || status == 0 {
			return fmt.Errorf("answered %d, %w", status, err)
		}
	}
	return nil
}

// next does one operation, and returns the status that was answered: 0 when none
// was.
func (h *history) next(s *server) (status int, err error) {
	version, file := h.random.IntN(historyVersions), h.random.IntN(historyFiles)
	switch h.random.IntN(8) {
	case 0:
		return h.deleteVersion(s, version)
	case 1, 2:
		return h.deleteFile(s, h.path(version, file))
	}
	return h.publish(s, h.path(version, file))
}

func (h *history) publish(s *server, path string) (status int, err error) {
	h.serial++
	content := pattern(h.client*1_000_000+h.serial, h.size(h.random))
	if h.serial%5 == 0 {
		content = []byte("the same for all") // shared by many files
	}
	name := digestOf(content)
	before, got := h.attempt(s, http.MethodPut, path, content, name, path)
	switch {
	case got.status == http.StatusCreated && before[path].has(absent):
		h.become(path, name)
	case got.status == http.StatusConflict && !slices.Equal(before[path], possible{absent}):
		h.files[path] = before[path].without(absent).with(h.pending[path]...)
	default:
		err = h.settle(got, before, name)
	}
	return got.status, err
}

func (h *history) deleteFile(s *server, path string) (status int, err error) {
	before, got := h.attempt(s, http.MethodDelete, path, nil, absent, path)
	switch {
	case got.status == http.StatusNoContent && !slices.Equal(before[path], possible{absent}):
		h.become(path, absent)
	case got.status == http.StatusNotFound && before[path].has(absent):
		h.files[path] = possible{absent}.with(h.pending[path]...)
	default:
		err = h.settle(got, before, absent)
	}
	return got.status, err
}

func (h *history) deleteVersion(s *server, version int) (status int, err error) {
	var paths []string
	for path := range h.files {
		if strings.HasPrefix(path, h.version(version)+"/") {
			paths = append(paths, path)
		}
	}
	before, got := h.attempt(s, http.MethodDelete, h.version(version), nil, absent, paths...)
	missing := !slices.ContainsFunc(paths, func(path string) bool { return !before[path].has(absent) })
	switch {
	case got.status == http.StatusNoContent:
		for path := range before {
			h.become(path, absent)
		}
	case got.status == http.StatusNotFound && missing:
		for path := range before {
			h.files[path] = possible{absent}.with(h.pending[path]...)
		}
	case got.status == 0:
		h.together = certainlyThere(before)
	default:
		err = h.settle(got, before, absent)
	}
	return got.status, err
}

// become settles what a file has.
func (h *history) become(path, content string) {
	h.files[path] = possible{content}
	delete(h.pending, path)
}

// attempt sends a request that may give files a content. It returns what they may
// have been before, and the answer: status 0 when there is none.
func (h *history) attempt(s *server, method, path string, body []byte, becomes string, paths ...string) (map[string]possible, answer) {
	before := make(map[string]possible)
	for _, file := range paths {
		known, ok := h.files[file]
		if !ok {
			known = possible{absent}
		}
		before[file] = known
		h.files[file] = known.with(becomes)
	}
	got, err := s.try(method, path, "alice", bytes.NewReader(body))
	if err != nil {
		return before, answer{}
	}
	return before, got
}

// settle takes an answer that does not say that the operation was done.
func (h *history) settle(got answer, before map[string]possible, becomes string) error {
	switch {
	case got.status == 0:
		return nil
	case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "":
		return errors.New("503 without Retry-After")
	case slices.Contains(h.unclear, got.status):
		for path := range before {
			h.pending[path] = h.pending[path].with(becomes)
		}
		return nil
	case slices.Contains(h.refusals, got.status):
		for path, contents := range before {
			h.files[path] = contents
		}
		return nil
	}
	return fmt.Errorf("%v: answered %d %s", before, got.status, got.text())
}

// errUnavailable: the server answered that it cannot tell now.
var errUnavailable = errors.New("503")

// look compares with what the server has now, and returns it. errUnavailable when
// it did not say everything, and what it said is right.
func (h *history) look(s *server) (all map[string]string, unavailable error) {
	all = make(map[string]string)
	for path, contents := range h.files {
		got, err := s.try(http.MethodGet, path, "alice", nil)
		if err != nil {
			return nil, err
		}
		found := absent
		switch got.status {
		case http.StatusOK:
			found = digestOf(got.body)
		case http.StatusNotFound:
		case http.StatusServiceUnavailable:
			unavailable = fmt.Errorf("%s: %w", path, errUnavailable)
			continue
		default:
			return nil, fmt.Errorf("%s: %d %s", path, got.status, got.text())
		}
		if !contents.has(found) {
			return nil, fmt.Errorf("%s: found %d bytes (%q), not one of %q", path, len(got.body), found, contents)
		}
		all[path] = found
	}
	return all, unavailable
}

// check is look after the server was started anew: what it has is what is known
// from then on. A server that makes its database again may have it later than it answers.
func (h *history) check(s *server) (err error) {
	var found map[string]string
	eventuallyTrue(func() bool {
		found, err = h.look(s)
		return !errors.Is(err, errUnavailable) || h.final != "" && strings.Contains(s.logText(), h.final)
	})
	if err != nil {
		return err
	}
	gone := 0
	for path, content := range found {
		h.become(path, content)
		if content == absent && slices.Contains(h.together, path) {
			gone++
		}
	}
	if gone != 0 && gone != len(h.together) {
		return fmt.Errorf("%d of %d files of a version are deleted", gone, len(h.together))
	}
	h.together = nil
	return nil
}

func certainlyThere(files map[string]possible) (paths []string) {
	for path, contents := range files {
		if !contents.has(absent) {
			paths = append(paths, path)
		}
	}
	return paths
}

func (p possible) has(content string) bool { return slices.Contains(p, content) }

func (p possible) with(contents ...string) possible {
	all := slices.Clone(p)
	for _, content := range contents {
		if !all.has(content) {
			all = append(all, content)
		}
	}
	return all
}

func (p possible) without(content string) possible {
	return slices.DeleteFunc(slices.Clone(p), func(candidate string) bool { return candidate == content })
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
