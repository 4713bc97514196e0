package caddyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// words are what may begin a line of a block, each with what reads the line.
type words map[string]func(*directive) error

// block reads the lines of a block, if one opens here. Each word may come once,
// except the repeatable ones.
func (d *directive) block(of string, known words, repeatable ...string) error {
	written := make(map[string]string) // word to the position of its line
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		read, ok := known[word]
		if !ok {
			if place, elsewhere := places[word]; elsewhere {
				return d.Errf("%s does not belong in %s: write it in %s", word, of, place)
			}
			return d.Errf("unknown word %q in %s%s: write one of %s", word, of, suggestion(word, known), list(known))
		}
		if first, repeated := written[word]; repeated && !slices.Contains(repeatable, word) {
			return d.Errf("%s is written twice, first at %s: make it one line", word, first)
		}
		written[word] = d.position()
		if err := read(d); err != nil {
			return err
		}
		if d.opensBlock() {
			return d.Errf("%s takes no block", word)
		}
	}
	return nil
}

// places says where each word belongs. A word of several blocks has the one where it
// is expected most.
var places = make(map[string]string)

func init() {
	for _, block := range []struct {
		place string
		words words
	}{
		{"the block of " + authDirectiveName, authWords},
		{"an owner block", ownerWords},
		{"the block of checksums", checksumWords},
		{"the block of resumable", resumableWords},
		{"the block of drafts", draftWords},
		{"the block of a webhook", webhookWords},
		{"the block of " + directiveName, subdirectives},
	} {
		for word := range block.words {
			places[word] = block.place
		}
	}
}

// opensBlock tells whether a block opens after the current token, without moving.
func (d *directive) opensBlock() bool {
	if d.NextArg() || d.NextLine() {
		d.Prev()
		return false
	}
	if !d.Next() {
		return false
	}
	d.Prev()
	return true
}

// value reads the one value of the current word.
func (d *directive) value(form string) (string, error) {
	word := d.Val()
	var value string
	if !d.Args(&value) || d.NextArg() {
		return "", d.Errf("%s has one value: the form is %s %s", word, word, form)
	}
	if value == "" {
		return "", d.Errf("the value of %s is empty: the form is %s %s; leave the line out for the default", word, word, form)
	}
	return value, nil
}

// isOff reads the one value off of the current word, or else a block in its place.
func (d *directive) isOff(known words) (bool, error) {
	word, values := d.Val(), d.RemainingArgs()
	switch {
	case len(values) == 1 && values[0] == off:
		return true, nil
	case len(values) > 0:
		return false, d.Errf("unexpected %q after %s: write %s %s, or a block of %s", values[0], word, word, off, list(known))
	case !d.opensBlock():
		return false, d.Errf("%s has no value: write %s %s, or a block of %s", word, word, off, list(known))
	}
	return false, d.block(word, known)
}

// names reads the one or more names of the current word, each once, and checks
// each.
func (d *directive) names(form string, check func(string) error) ([]string, error) {
	word := d.Val()
	names := d.RemainingArgs()
	if len(names) == 0 {
		return nil, d.Errf("%s has no value: the form is %s %s", word, word, form)
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if err := check(name); err != nil {
			return nil, d.Errf("%s: %w", word, err)
		}
		if seen[store.Fold(name)] {
			return nil, d.Errf("%s has %s twice", word, name)
		}
		seen[store.Fold(name)] = true
	}
	return names, nil
}

func list(known words) string {
	return strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}

// suggestion asks after the known word that an unknown one is nearly, if there is
// exactly one nearest: one slip in a short word, two in a long one.
func suggestion(unknown string, known words) string {
	slips := 1
	if len(unknown) > 5 {
		slips = 2
	}
	nearest, distance := "", slips+1
	for word := range known {
		switch d := editDistance(strings.ToLower(unknown), word); {
		case d < distance:
			nearest, distance = word, d
		case d == distance:
			nearest = ""
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", nearest)
}

// editDistance is how many characters must be inserted, dropped or replaced to
// turn one word into the other.
func editDistance(from, to string) int {
	target := []rune(to)
	row := make([]int, len(target)+1) // distances of what was read of from to every beginning of to
	for j := range row {
		row[j] = j
	}
	for _, r := range from {
		diagonal := row[0]
		row[0]++
		for j, t := range target {
			replaced := diagonal
			if r != t {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(target)]
}
