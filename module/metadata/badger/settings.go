package badger

import (
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
)

// JournalSettings say how much of the journal stays beyond what is needed: the two
// newest checkpoints of what there is, and every change after the older one. Backups
// that continue another need the changes since that one.
type JournalSettings struct {
	// KeepSegments is how many of the older segments stay, the newest ones. A segment
	// has up to 4 MiB of changes, about 12,000, and takes about a quarter of that.
	// Zero, the default, is none.
	KeepSegments int `json:"keep_segments,omitempty"`

	// KeepAge is how long older segments stay after their last change. Zero, the
	// default, is not at all. With KeepSegments, whichever keeps more.
	KeepAge caddy.Duration `json:"keep_age,omitempty"`
}

func (j *JournalSettings) keep() journal.Keep {
	if j == nil {
		return journal.Keep{}
	}
	return journal.Keep{Segments: j.KeepSegments, Age: time.Duration(j.KeepAge)}
}

func (j *JournalSettings) check() error {
	if j != nil && (j.KeepSegments < 0 || j.KeepAge < 0) {
		return fmt.Errorf("journal keeps %d segments for %s: write neither below 0", j.KeepSegments, time.Duration(j.KeepAge))
	}
	return nil
}

// unmarshalJournal reads what follows the word journal.
func (b *Backend) unmarshalJournal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected %q after journal: write journal { keep <number|age> }", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var value string
		if word := d.Val(); word != "keep" {
			return d.Errf("unknown setting %q of journal: write keep", word)
		}
		if b.Journal != nil {
			return d.Err("keep is written twice: keep one")
		}
		if !d.Args(&value) || d.NextArg() {
			return d.Err("write keep with one value: a number of segments such as 100, or an age such as 30d")
		}
		b.Journal = new(JournalSettings)
		if number, err := strconv.ParseUint(value, 10, 31); err == nil {
			b.Journal.KeepSegments = int(number)
			continue
		}
		age, err := caddy.ParseDuration(value)
		if err != nil || age <= 0 {
			return d.Errf("keep %q is neither a number of segments such as 100 nor an age such as 30d", value)
		}
		b.Journal.KeepAge = caddy.Duration(age)
	}
	if b.Journal == nil {
		return d.Err("journal without a setting: write journal { keep <number|age> }")
	}
	return nil
}
