package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
)

// checkTimeout bounds one check of everything.
const checkTimeout = time.Hour

// checks are queries that find nothing in a registry that is whole. Each tells one text.
var checks = []string{
	`SELECT 'owner ' || o.key || ' has other sums than its packages' FROM {s}.owner o
	LEFT JOIN (SELECT owner_id, count(*) FILTER (WHERE versions > 0) AS n, sum(versions) AS v, sum(files) AS f, sum(bytes) AS b,
		sum(draft_versions) AS dv, sum(draft_files) AS df, sum(draft_bytes) AS db FROM {s}.package GROUP BY owner_id) p ON p.owner_id = o.id
	WHERE (o.packages, o.versions, o.files, o.bytes, o.draft_versions, o.draft_files, o.draft_bytes) IS DISTINCT FROM
		(COALESCE(p.n, 0), COALESCE(p.v, 0), COALESCE(p.f, 0), COALESCE(p.b, 0), COALESCE(p.dv, 0), COALESCE(p.df, 0), COALESCE(p.db, 0))`,
	`SELECT 'package ' || p.key || ' has other sums than its versions' FROM {s}.package p
	LEFT JOIN (SELECT package_id, count(*) FILTER (WHERE NOT draft) AS v, sum(files) FILTER (WHERE NOT draft) AS f, sum(bytes) FILTER (WHERE NOT draft) AS b,
		count(*) FILTER (WHERE draft) AS dv, sum(files) FILTER (WHERE draft) AS df, sum(bytes) FILTER (WHERE draft) AS db
		FROM {s}.version GROUP BY package_id) v ON v.package_id = p.id
	WHERE (p.versions, p.files, p.bytes, p.draft_versions, p.draft_files, p.draft_bytes) IS DISTINCT FROM
		(COALESCE(v.v, 0), COALESCE(v.f, 0), COALESCE(v.b, 0), COALESCE(v.dv, 0), COALESCE(v.df, 0), COALESCE(v.db, 0))
		OR p.versions + p.draft_versions = 0`,
	`SELECT 'version ' || v.key || ' has other sums than its files' FROM {s}.version v
	LEFT JOIN (SELECT version_id, count(*) AS n, sum(size) AS b FROM {s}.file GROUP BY version_id) f ON f.version_id = v.id
	WHERE (v.files, v.bytes) IS DISTINCT FROM (COALESCE(f.n, 0), COALESCE(f.b, 0)) OR v.files = 0`,
	`SELECT 'version ' || v.key || ' is of no package' FROM {s}.version v
	WHERE NOT EXISTS (SELECT FROM {s}.package p WHERE p.id = v.package_id) AND NOT EXISTS (SELECT FROM {s}.grave g WHERE g.id = v.package_id)`,
	`SELECT 'file ' || f.key || ' is of no version' FROM {s}.file f
	WHERE NOT EXISTS (SELECT FROM {s}.version v WHERE v.id = f.version_id) AND NOT EXISTS (SELECT FROM {s}.grave g WHERE g.id = f.version_id)`,
	`SELECT 'blob ' || encode(COALESCE(b.digest, f.digest), 'hex') || ' counts other files than there are' FROM {s}.blob b
	FULL JOIN (SELECT digest, count(*) AS n FROM {s}.file GROUP BY digest) f ON f.digest = b.digest WHERE b.refs IS DISTINCT FROM f.n`,
	`SELECT 'the bytes at ' || b.locator || ' are condemned, and blob ' || encode(b.digest, 'hex') || ' has them' FROM {s}.blob b
	WHERE EXISTS (SELECT FROM {s}.condemned c WHERE c.locator = b.locator)`,
}

// Check implements store.Checked: it compares all records with each other, as of one moment.
func (s *Store) Check(ctx context.Context, report func(problem string)) error {
	var problems []string
	err := s.db.ViewWithin(ctx, checkTimeout, func(ctx context.Context, from database.Reader) error {
		problems = nil
		for _, check := range checks {
			rows, err := from.Query(ctx, check+" LIMIT 200")
			if err != nil {
				return err
			}
			found, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			problems = append(problems, found...)
		}
		return nil
	})
	for _, problem := range problems {
		report(problem)
	}
	return err
}
