package checkpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// exportPage is how many versions are in memory at once.
const exportPage = 1000

// Export does what told.Exporter says. All of it is one transaction, which sees one moment.
func Export(ctx context.Context, db *database.Database, w io.Writer) (at store.Position, err error) {
	out := bufio.NewWriter(w)
	err = db.ViewOnce(ctx, func(ctx context.Context, from database.Transaction) error {
		e := &exporter{from: from}
		head, isEmpty, err := e.head(ctx)
		if err != nil || isEmpty {
			return err
		}
		at = head.At
		_, err = jsonl.WriteCheckpoint(out, head, func(tell func(store.Change) error) error {
			e.tell = tell
			if err := e.versions(ctx); err != nil {
				return err
			}
			return e.tokens(ctx)
		})
		return err
	})
	if err != nil {
		return store.Position{}, err
	}
	return at, out.Flush()
}

// exporter tells what there is, as of one moment.
type exporter struct {
	from database.Transaction
	tell func(store.Change) error
}

// head is what a checkpoint says of all. A store that only has tokens counts no change.
func (e *exporter) head(ctx context.Context) (head store.CheckpointHead, isEmpty bool, err error) {
	var changes, next int64
	var hasTokens bool
	if err = e.from.QueryRow(ctx, database.CountChanges).Scan(&changes); err != nil {
		return head, false, err
	}
	// What is in a view has IDs below those that are given out next.
	err = e.from.QueryRow(ctx, `SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END, EXISTS (SELECT FROM {s}.token) FROM {s}.ids`).Scan(&next, &hasTokens)
	if err != nil {
		return head, false, err
	}
	if hasTokens {
		changes = max(changes, 1)
	}
	return store.CheckpointHead{At: store.Position{Sequence: uint64(changes)}, NextID: uint64(next)}, changes == 0, nil
}

// versions tells all versions, each followed by its files, some at a time.
func (e *exporter) versions(ctx context.Context) error {
	for after := int64(0); ; {
		rows, err := e.from.Query(ctx, `SELECT v.id, p.id, o.name, p.name, v.name, v.rank, v.creator, v.created, v.draft, v.released, v.downloads, v.downloaded
			FROM {s}.version v JOIN {s}.package p ON p.id = v.package_id JOIN {s}.owner o ON o.id = p.owner_id
			WHERE v.id > $1 ORDER BY v.id LIMIT $2`, after, exportPage)
		if err != nil {
			return err
		}
		versions, err := pgx.CollectRows(rows, toldVersion)
		if err != nil || len(versions) == 0 {
			return err
		}
		if err := e.files(ctx, versions); err != nil {
			return err
		}
		after = versions[len(versions)-1].ID
	}
}

func toldVersion(row pgx.CollectableRow) (told store.Change, err error) {
	var created int64
	var downloaded *int64
	var rank []byte
	err = row.Scan(&told.ID, &told.PackageID, &told.Owner, &told.Package, &told.Version, &rank, &told.User, &created, &told.Draft, &told.Released, &told.Downloads, &downloaded)
	told.Operation, told.Time, told.Rank, told.Downloaded = store.OperationVersion, database.TimeOf(created), string(rank), store.TimeOrNil(database.TimeOrZero(downloaded))
	return told, err
}

// files tells some versions with their files, which are read one by one.
func (e *exporter) files(ctx context.Context, versions []store.Change) error {
	ids := make([]int64, len(versions))
	for i, version := range versions {
		ids[i] = version.ID
	}
	rows, err := e.from.Query(ctx, `SELECT f.version_id, f.id, f.name, f.digest, f.size, COALESCE(b.locator, ''), f.creator, f.created, f.downloads, f.downloaded
		FROM {s}.file f LEFT JOIN {s}.blob b ON b.digest = f.digest WHERE f.version_id = ANY ($1) ORDER BY f.version_id, f.id`, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	left := versions
	for rows.Next() {
		var file store.Change
		var digest []byte
		var created int64
		var downloaded *int64
		if err := rows.Scan(&file.VersionID, &file.ID, &file.File, &digest, &file.Size, &file.Locator, &file.User, &created, &file.Downloads, &downloaded); err != nil {
			return err
		}
		if file.Locator == "" {
			return fmt.Errorf("%w: file %d in PostgreSQL has no blob", store.ErrDamaged, file.ID)
		}
		for len(left) > 0 && left[0].ID <= file.VersionID {
			if err := e.tell(left[0]); err != nil {
				return err
			}
			versions, left = left, left[1:]
		}
		of := versions[0]
		file.Operation, file.Owner, file.Package, file.Version, file.Draft = store.OperationPublish, of.Owner, of.Package, of.Version, of.Draft
		file.Digest, file.Time, file.Downloaded = store.Digest(digest).String(), database.TimeOf(created), store.TimeOrNil(database.TimeOrZero(downloaded))
		if err := e.tell(file); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: version %d in PostgreSQL has no file", store.ErrDamaged, left[0].ID)
	}
	return nil
}

// tokens tells all tokens, which are few.
func (e *exporter) tokens(ctx context.Context) error {
	rows, err := e.from.Query(ctx, `SELECT token FROM {s}.token ORDER BY created, id`)
	if err != nil {
		return err
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, text := range texts {
		change := store.Change{Operation: store.OperationCreateToken}
		if err := json.Unmarshal([]byte(text), &change.Token); err != nil {
			return fmt.Errorf("%w: a token: %w", store.ErrDamaged, err)
		}
		if created := change.Token.Created; created != nil {
			change.Time = *created
		}
		if err := e.tell(change); err != nil {
			return err
		}
	}
	return nil
}
