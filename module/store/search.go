package store

import "strings"

// Matches tells whether a name contains what is searched for, in any case. As in Gitea,
// "%" stands for any text and "_" for any character.
func Matches(search, name string) bool {
	name = Fold(name)
	parts := strings.Split(Fold(search), "%")
	for _, part := range parts {
		end := indexLike(name, []rune(part))
		if end < 0 {
			return false
		}
		name = name[end:]
	}
	return true
}

// indexLike returns where the first text ends that is like a pattern without "%", or -1.
func indexLike(name string, pattern []rune) int {
	if len(pattern) == 0 {
		return 0
	}
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
