package changes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Follow implements store.Changes.
func (c *Changes) Follow(after uint64) store.Follower { return &follower{changes: c, after: after} }

type follower struct {
	changes *Changes
	after   uint64
}

// Next implements store.Follower.
func (f *follower) Next(ctx context.Context, limit int) ([]store.Change, error) {
	for {
		last, err := f.changes.LastChange(ctx)
		if err != nil {
			return nil, err
		}
		if last > f.after {
			next, err := f.changes.read(ctx, f.after, limit)
			if err != nil {
				return nil, err
			}
			if len(next) > 0 {
				f.after = next[len(next)-1].Sequence
				return next, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// read returns changes after a number that are still there.
func (c *Changes) read(ctx context.Context, after uint64, limit int) (next []store.Change, err error) {
	var lines []string
	err = c.db.Read(ctx, func(ctx context.Context, from database.Reader) error {
		next, lines = nil, nil
		rows, err := from.Query(ctx, `SELECT seq, line, file, version FROM {s}.change WHERE seq > $1 ORDER BY seq LIMIT $2`, int64(after), limit)
		if err != nil {
			return err
		}
		var line string
		var number, file, version int64
		_, err = pgx.ForEachRow(rows, []any{&number, &line, &file, &version}, func() error {
			next, lines = append(next, store.Change{Sequence: uint64(number), ID: file, VersionID: version}), append(lines, line)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, line := range lines {
		numbers := next[i]
		if err := json.Unmarshal([]byte(line), &next[i]); err != nil {
			return nil, fmt.Errorf("%w: change %d: %w", store.ErrDamaged, numbers.Sequence, err)
		}
		next[i].Sequence, next[i].ID, next[i].VersionID = numbers.Sequence, numbers.ID, numbers.VersionID
	}
	return next, nil
}
