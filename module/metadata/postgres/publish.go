package postgres

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// refusals are the outcomes of the function publish besides done, late and condemned.
var refusals = map[string]error{
	"exists":         store.ErrExists,
	"changed":        store.ErrChanged,
	"draft":          store.ErrDraft,
	"not_draft":      store.ErrNotDraft,
	"quota_bytes":    store.ErrQuotaBytes,
	"quota_versions": store.ErrQuotaVersions,
	"quota_files":    store.ErrQuotaFiles,
	"quota_drafts":   store.ErrQuotaDrafts,
}

// A statement sees what was there before it: a file that it sees was not made by it.
const publishSQL = `SELECT {s}.told_5(m.outcome, NOT EXISTS (SELECT FROM {s}.file f WHERE f.id = m.id), $24, m.id, NULL),
	condemned, owner, package, version, file, id, creator, created, hashes, downloads, downloaded
	FROM {s}.publish_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $25) m`

// Publish implements store.MetadataStore.
func (s *Store) Publish(ctx context.Context, p store.Publication) (file store.File, condemned bool, err error) {
	key := p.Ref.Key()
	var outcome string
	var row fileRow
	change := store.PublishChange(p.Ref, store.File{Blob: p.Blob, Creator: p.Creator, Created: p.Created})
	change.Draft = p.Draft
	c := &database.Change{
		SQL: publishSQL,
		Args: []any{
			key.Owner, key.Package, key.Version, key.File, p.Ref.Owner, p.Ref.Package, p.Ref.Version, p.Ref.File,
			p.Digest[:], p.Size, string(p.Locator), p.Stored.UnixNano(), int64(store.PublishWithin), database.Storable(p.Creator), p.Created.UnixNano(), []byte(p.Rank),
			p.Draft, p.OnDuplicate == store.Same, p.OnDuplicate == store.Replace, p.Quota.Bytes, p.Quota.Versions, p.Quota.Files, p.Quota.Drafts,
			changes.Line(change), p.Current,
		},
		Scan: func(answer pgx.Row) error {
			row = fileRow{locator: string(p.Locator), digest: p.Digest[:], size: p.Size}
			return answer.Scan(&outcome, &condemned, (*zeronull.Text)(&row.owner), (*zeronull.Text)(&row.pkg), (*zeronull.Text)(&row.version), (*zeronull.Text)(&row.name),
				(*zeronull.Int8)(&row.id), (*zeronull.Text)(&row.creator), (*zeronull.Int8)(&row.created), &row.hashes, (*zeronull.Int8)(&row.downloads), &row.downloaded)
		},
		Locks: database.Locks{Owners: []string{key.Owner}, Make: true, Digest: p.Digest[:]},
	}
	if p.OnDuplicate == store.Replace {
		c.Locks.File = &key
	}
	if err := s.db.Submit(ctx, c); err != nil {
		return store.File{}, false, err
	}
	switch outcome {
	case "done":
		return row.file(), condemned, nil
	case "condemned":
		return store.File{}, false, fmt.Errorf("%w: the bytes at %s are to be deleted", store.ErrUnavailable, p.Locator)
	case "late":
		return store.File{}, false, fmt.Errorf("%w: the bytes were stored more than %v ago", store.ErrUnavailable, store.PublishWithin)
	}
	if refusal := refusals[outcome]; refusal != nil {
		return store.File{}, condemned, refusal
	}
	return store.File{}, false, fmt.Errorf("PostgreSQL: publishing ended with %q", outcome)
}

// isName tells whether something can have a name: PostgreSQL refuses to be asked for others.
func isName(names ...string) bool {
	for _, name := range names {
		if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return false
		}
	}
	return true
}

// fileRow is a file as queries tell it.
type fileRow struct {
	id, size, created, downloads int64
	owner, pkg, version          string
	name, creator, locator       string
	damage                       string
	digest, hashes               []byte
	downloaded                   *int64
}

// fileColumns are those of a fileRow, of a file f of a version v of a package p of an owner
// o with a blob b.
const fileColumns = `f.id, f.size, CASE WHEN f.id < v.released THEN v.created ELSE f.created END, f.downloads, o.name, p.name, v.name,
	f.name, f.creator, b.locator, b.damage, f.digest, b.hashes, f.downloaded`

// fields are what the columns are scanned into. NULL, in a row without a file, is zero.
func (r *fileRow) fields() []any {
	return []any{
		(*zeronull.Int8)(&r.id), (*zeronull.Int8)(&r.size), (*zeronull.Int8)(&r.created), (*zeronull.Int8)(&r.downloads),
		&r.owner, &r.pkg, &r.version,
		(*zeronull.Text)(&r.name), (*zeronull.Text)(&r.creator), (*zeronull.Text)(&r.locator), (*zeronull.Text)(&r.damage), &r.digest, &r.hashes, &r.downloaded,
	}
}

func (r *fileRow) file() store.File {
	return store.File{
		Ref:    store.Ref{VersionRef: store.VersionRef{Owner: r.owner, Package: r.pkg, Version: r.version}, File: r.name},
		Blob:   store.Blob{Locator: store.Locator(r.locator), Digest: store.Digest(r.digest), Size: r.size, Damage: store.DamageKind(r.damage)},
		ID:     r.id,
		Hashes: store.Hashes(r.hashes), Downloads: r.downloads, Downloaded: database.TimeOrZero(r.downloaded),
		Creator: r.creator, Created: database.TimeOf(r.created),
	}
}
