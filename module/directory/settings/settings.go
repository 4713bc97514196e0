// Package settings reads the settings of a store that is in a directory.
package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

const (
	defaultReserve = 256 << 20
	largestReserve = 1 << 62
)

// Block points to the fields in which the module of a store keeps the settings that
// every store in a directory has.
type Block struct {
	Dir     *string
	Reserve *int64
	// LeastReserve is the smallest reserve that may be set, in bytes.
	LeastReserve int64
	// Others are the words that only this module has. Each function reads what follows
	// its word.
	Others map[string]func(*caddyfile.Dispenser) error
}

// Provision replaces placeholders and fills in defaults.
func (b Block) Provision() error {
	dir, err := caddy.NewReplacer().ReplaceOrErr(*b.Dir, true, true)
	if err != nil {
		return fmt.Errorf("dir: %w", err)
	}
	*b.Dir = dir
	if *b.Reserve == 0 {
		*b.Reserve = defaultReserve
	}
	if *b.Reserve < b.LeastReserve || *b.Reserve > largestReserve {
		return fmt.Errorf("reserve is %d bytes: write at least %d, or leave it out for %s", *b.Reserve, b.LeastReserve, humanize.IBytes(defaultReserve))
	}
	return nil
}

// UnmarshalCaddyfile reads a module's name and block:
//
//	<name> {
//		dir     <path>
//		reserve <size>
//	}
func (b Block) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	module := d.Val()
	if d.NextArg() {
		return d.Errf("unexpected %q after %s: settings go into a block", d.Val(), module)
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		other := b.Others[word]
		if word != "dir" && word != "reserve" && other == nil {
			return d.Errf("unknown setting %q of %s: write %s", word, module, b.words())
		}
		if seen[word] {
			return d.Errf("%s is written twice: keep one", word)
		}
		seen[word] = true
		if other != nil {
			if err := other(d); err != nil {
				return err
			}
			continue
		}
		var value string
		if !d.Args(&value) || value == "" || d.NextArg() {
			return d.Errf("write %s with one value", word)
		}
		if word == "dir" {
			*b.Dir = value
			continue
		}
		size, err := humanize.ParseBytes(value)
		if err != nil || size < uint64(b.LeastReserve) || size > largestReserve {
			return d.Errf("reserve %q is not a size of at least %s: write one such as 1GiB", value, humanize.IBytes(uint64(b.LeastReserve)))
		}
		*b.Reserve = int64(size)
	}
	return nil
}

// words lists those that a block may have.
func (b Block) words() string {
	words := append([]string{"dir", "reserve"}, slices.Sorted(maps.Keys(b.Others))...)
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
