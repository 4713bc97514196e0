// Package search says which names contain the searched text.
package search

import (
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Matches tells whether a name contains what is searched for, in any case. As in Gitea,
// "%" stands for any text and "_" for any character.
func Matches(search, name string) bool { return New(search).Matches(store.Fold(name)) }

// Search is what names are searched for, as Matches says.
type Search struct {
	parts []string // what must come one after the other; with "_" for any character
}

// New returns a search that is asked for many names.
func New(search string) Search {
	return Search{strings.Split(store.Fold(search), "%")}
}

// Matches tells whether a folded name contains what is searched for.
func (s Search) Matches(folded string) bool {
	for _, part := range s.parts {
		end := indexLike(folded, part)
		if end < 0 {
			return false
		}
		folded = folded[end:]
	}
	return true
}

// indexLike returns where the first text ends that is like a part, or -1.
func indexLike(name, part string) int {
	if !strings.Contains(part, "_") {
		if start := strings.Index(name, part); start >= 0 {
			return start + len(part)
		}
		return -1
	}
	pattern := []rune(part)
	for start := range name {
		if length := likePrefix(name[start:], pattern); length >= 0 {
			return start + length
		}
	}
	return -1
}

// likePrefix returns the length of what a name begins with that is like a pattern, or -1.
func likePrefix(name string, pattern []rune) int {
	at := 0
	for i, r := range name {
		if at == len(pattern) {
			return i
		}
		if pattern[at] != '_' && pattern[at] != r {
			return -1
		}
		at++
	}
	if at == len(pattern) {
		return len(name)
	}
	return -1
}
