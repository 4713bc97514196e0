package checkpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Import fills the tables, as told.Importer says, in one transaction: no node sees a part of it.
func Import(ctx context.Context, db *database.Database, id string, at store.Position, lines io.Reader) error {
	err := db.ChangeOnce(ctx, func(ctx context.Context, in database.Transaction) error {
		i := &importing{in: in, lines: bufio.NewReader(lines)}
		if err := i.begin(ctx); err != nil {
			return err
		}
		if err := i.read(ctx, at); err != nil {
			return err
		}
		return i.end(ctx, id, at)
	})
	if err != nil {
		return err
	}
	for _, table := range []string{"owner", "package", "version", "file", "blob"} {
		_ = db.Write(ctx, `ANALYZE {s}.`+table) // PostgreSQL does it by itself, later
	}
	return nil
}

// importing fills the tables.
type importing struct {
	in    database.Transaction
	lines *bufio.Reader
	head  store.CheckpointHead

	versions, files, tokens [][]any
	told                    uint64
}

// The tables that the lines are written to as they come, and that are gone with the transaction.
var toldTables = []string{
	`CREATE TABLE {s}.told_version (id bigint, owner_key text COLLATE "C", owner text, package_key text COLLATE "C", package text, key text, name text,
		rank bytea, creator text, created bigint, draft boolean, released bigint, downloads bigint, downloaded bigint)`,
	`CREATE TABLE {s}.told_file (id bigint, version_id bigint, key text, name text, digest bytea, size bigint, locator text COLLATE "C",
		creator text, created bigint, downloads bigint, downloaded bigint)`,
}

// begin holds the store against everybody else. ErrFormat when it is not new, ErrLocked when
// a node has it open.
func (i *importing) begin(ctx context.Context) error {
	if _, err := i.in.Exec(ctx, `LOCK TABLE {s}.owner, {s}.token IN EXCLUSIVE MODE`); err != nil {
		return err
	}
	var used bool
	var node *string
	err := i.in.QueryRow(ctx, `SELECT EXISTS (SELECT FROM {s}.owner) OR EXISTS (SELECT FROM {s}.token),
		(SELECT name FROM {s}.live WHERE seen > now() - interval '1 minute' LIMIT 1)`).Scan(&used, &node)
	switch {
	case err != nil:
		return err
	case node != nil:
		return fmt.Errorf("%w: the node %s has the tables open, or was killed less than a minute ago; stop it", store.ErrLocked, *node)
	case used:
		return fmt.Errorf("%w: the tables in PostgreSQL are in use already; write another schema", store.ErrFormat)
	}
	for _, statement := range toldTables {
		if _, err := i.in.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// read reads all lines. ErrDamaged when they are not those of a checkpoint of a position.
func (i *importing) read(ctx context.Context, at store.Position) error {
	var position store.Position
	for ended := false; !ended; {
		line, err := i.lines.ReadBytes('\n')
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return fmt.Errorf("%w: reading lines: %w", store.ErrUnavailable, err)
		}
		if position, err = jsonl.ReadLines(line, position, i.take); err != nil {
			return err
		}
		if len(i.versions)+len(i.files) >= exportPage || ended {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
	}
	if position != at && i.told > 0 {
		return fmt.Errorf("%w: the lines end at change %d, not at %d", store.ErrDamaged, position.Sequence, at.Sequence)
	}
	return nil
}

// take takes what one line tells.
func (i *importing) take(change store.Change) error {
	i.told++
	switch change.Operation {
	case store.OperationCheckpoint:
		i.head = *change.Checkpoint
	case store.OperationEnd:
	case store.OperationVersion:
		i.versions = append(i.versions, []any{change.ID, store.Fold(change.Owner), change.Owner, store.Fold(change.Package), change.Package, store.Fold(change.Version), change.Version,
			[]byte(change.Rank), database.Storable(change.User), change.Time.UnixNano(), change.Draft, change.Released, change.Downloads, nanosecondsOf(change)})
	case store.OperationPublish:
		blob, err := change.Blob()
		if err != nil {
			return err
		}
		i.files = append(i.files, []any{change.ID, change.VersionID, store.Fold(change.File), change.File, blob.Digest[:], blob.Size, string(blob.Locator),
			database.Storable(change.User), change.Time.UnixNano(), change.Downloads, nanosecondsOf(change)})
	case store.OperationCreateToken:
		text, err := json.Marshal(change.Token)
		if err != nil || change.Token == nil {
			return fmt.Errorf("%w: a token: %w", store.ErrDamaged, err)
		}
		i.tokens = append(i.tokens, []any{change.Token.ID, store.Fold(change.Token.Name), string(text), change.Time.UnixNano()})
	default:
		return fmt.Errorf("%w: a checkpoint cannot have the operation %q", store.ErrDamaged, change.Operation)
	}
	return nil
}

func nanosecondsOf(change store.Change) *int64 {
	if change.Downloaded == nil {
		return nil
	}
	ns := change.Downloaded.UnixNano()
	return &ns
}

// flush writes what was taken.
func (i *importing) flush(ctx context.Context) error {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "filling the tables of PostgreSQL", Done: i.told})
	if err := i.in.Copy(ctx, "told_version", []string{"id", "owner_key", "owner", "package_key", "package", "key", "name", "rank", "creator", "created", "draft", "released", "downloads", "downloaded"}, i.versions); err != nil {
		return err
	}
	if err := i.in.Copy(ctx, "told_file", []string{"id", "version_id", "key", "name", "digest", "size", "locator", "creator", "created", "downloads", "downloaded"}, i.files); err != nil {
		return err
	}
	if err := i.in.Copy(ctx, "token", []string{"id", "key", "token", "created"}, i.tokens); err != nil {
		return err
	}
	i.versions, i.files, i.tokens = i.versions[:0], i.files[:0], i.tokens[:0]
	return nil
}

// fills makes the records of what was told. Packages get IDs that nothing else has.
var fills = []string{
	`INSERT INTO {s}.owner (key, name) SELECT DISTINCT ON (owner_key) owner_key, owner FROM {s}.told_version ORDER BY owner_key, id`,
	`INSERT INTO {s}.package (id, owner_id, key, name) SELECT nextval('{s}.ids'), o.id, t.package_key, t.package
		FROM (SELECT DISTINCT ON (owner_key, package_key) owner_key, package_key, package FROM {s}.told_version ORDER BY owner_key, package_key, id) t
		JOIN {s}.owner o ON o.key = t.owner_key`,
	`INSERT INTO {s}.version (id, owner_id, package_id, key, name, rank, creator, created, draft, released, files, bytes, downloads, downloaded)
		SELECT t.id, o.id, p.id, t.key, t.name, t.rank, t.creator, t.created, t.draft, t.released, f.n, f.bytes, t.downloads, t.downloaded
		FROM {s}.told_version t JOIN {s}.owner o ON o.key = t.owner_key JOIN {s}.package p ON p.owner_id = o.id AND p.key = t.package_key
		JOIN (SELECT version_id, count(*) AS n, sum(size)::bigint AS bytes FROM {s}.told_file GROUP BY version_id) f ON f.version_id = t.id`,
	`INSERT INTO {s}.file (id, version_id, key, name, digest, size, creator, created, downloads, downloaded)
		SELECT t.id, t.version_id, t.key, t.name, t.digest, t.size, t.creator, t.created, t.downloads, t.downloaded
		FROM {s}.told_file t JOIN {s}.version v ON v.id = t.version_id`,
	`INSERT INTO {s}.blob (digest, size, locator, refs) SELECT digest, size, locator, count(*) FROM {s}.told_file GROUP BY digest, size, locator`,
	`UPDATE {s}.package p SET versions = v.n, files = v.f, bytes = v.b, draft_versions = v.dn, draft_files = v.df, draft_bytes = v.db
		FROM (SELECT package_id, count(*) FILTER (WHERE NOT draft) AS n, COALESCE(sum(files) FILTER (WHERE NOT draft), 0) AS f, COALESCE(sum(bytes) FILTER (WHERE NOT draft), 0) AS b,
			count(*) FILTER (WHERE draft) AS dn, COALESCE(sum(files) FILTER (WHERE draft), 0) AS df, COALESCE(sum(bytes) FILTER (WHERE draft), 0) AS db
			FROM {s}.version GROUP BY package_id) v WHERE v.package_id = p.id`,
	`UPDATE {s}.owner o SET packages = p.n, versions = p.v, files = p.f, bytes = p.b, draft_versions = p.dv, draft_files = p.df, draft_bytes = p.db
		FROM (SELECT owner_id, count(*) FILTER (WHERE versions > 0) AS n, sum(versions) AS v, sum(files) AS f, sum(bytes) AS b,
			sum(draft_versions) AS dv, sum(draft_files) AS df, sum(draft_bytes) AS db FROM {s}.package GROUP BY owner_id) p WHERE p.owner_id = o.id`,
}

// end makes the records, and gives the store its identity. ErrDamaged when they are not all
// that was told.
func (i *importing) end(ctx context.Context, id string, at store.Position) error {
	if _, err := i.in.Exec(ctx, `SELECT setval('{s}.ids', $1, false)`, int64(max(i.head.NextID, 1))); err != nil {
		return err
	}
	for _, statement := range fills {
		if _, err := i.in.Exec(ctx, statement); err != nil {
			return err
		}
	}
	var whole bool
	err := i.in.QueryRow(ctx, `SELECT (SELECT count(*) FROM {s}.told_version) = (SELECT count(*) FROM {s}.version)
		AND (SELECT count(*) FROM {s}.told_file) = (SELECT count(*) FROM {s}.file)`).Scan(&whole)
	if err != nil {
		return err
	}
	if !whole {
		return fmt.Errorf("%w: the lines have versions without files, or files without a version", store.ErrDamaged)
	}
	for _, statement := range []string{`DROP TABLE {s}.told_version, {s}.told_file`, `DELETE FROM {s}.hold`, `DELETE FROM {s}.duty`, `DELETE FROM {s}.change`} {
		if _, err := i.in.Exec(ctx, statement); err != nil {
			return err
		}
	}
	// Who has got a change with a number of the registry's takes no other one for it.
	if _, err := i.in.Exec(ctx, `UPDATE {s}.following SET recording = false, last = $1, claim = NULL, bookmarks = '{}'`, int64(at.Sequence)); err != nil {
		return err
	}
	_, err = i.in.Exec(ctx, `UPDATE {s}.store SET id = $1, blobs = NULL, scrub = NULL, changes = $2`, id, int64(at.Sequence))
	return err
}
