package integration

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
)

// clients are histories of one server.
type clients []*history

func newClients(count int) (all clients) {
	for client := range count {
		all = append(all, newHistory(client))
	}
	return all
}

// clone keeps what is known now.
func (c clients) clone() (all clients) {
	for _, h := range c {
		kept := *h
		kept.files = maps.Clone(h.files)
		all = append(all, &kept)
	}
	return all
}

// try calls for every client at once, and returns what went wrong.
func (c clients) try(call func(h *history) error) error {
	problems := make([]error, len(c))
	var running sync.WaitGroup
	for i, h := range c {
		running.Go(func() {
			if err := call(h); err != nil {
				problems[i] = fmt.Errorf("client %d: %w", h.client, err)
			}
		})
	}
	running.Wait()
	return errors.Join(problems...)
}

// each is try, and fails the test for what went wrong.
func (c clients) each(t testing.TB, call func(h *history) error) {
	t.Helper()
	if err := c.try(call); err != nil {
		t.Error(err)
	}
}

// contents are those that are there, once they are known by a check.
func (c clients) contents() map[string]bool {
	contents := make(map[string]bool)
	for _, h := range c {
		for _, p := range h.files {
			if p[0] != absent {
				contents[p[0]] = true
			}
		}
	}
	return contents
}
