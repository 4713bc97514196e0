//go:build servers

package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// benchClients is how many publish at once.
const benchClients = 32

func benchStore(b *testing.B) (*Backend, *Store) {
	b.Helper()
	backend := newBackend(b)
	s, err := backend.OpenMetadata(context.Background(), "", quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return backend, s.(*Store)
}

// BenchmarkPublish is to be compared with BenchmarkPgbench: the same functions of the server,
// each publish in a transaction of its own, by PostgreSQL's own client.
func BenchmarkPublish(b *testing.B) {
	for _, owners := range []int{1, 64} {
		b.Run(fmt.Sprint("owners=", owners), func(b *testing.B) {
			_, s := benchStore(b)
			var number atomic.Int64
			b.SetParallelism(benchClients / 2)
			b.ResetTimer()
			b.RunParallel(func(each *testing.PB) {
				for each.Next() {
					n := number.Add(1)
					if _, _, err := s.Publish(context.Background(), publication(s, fmt.Sprint("o", n%int64(owners)), fmt.Sprint("f", n))); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
		})
	}
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func BenchmarkPgbench(b *testing.B) {
	for _, owners := range []int{1, 64} {
		b.Run(fmt.Sprint("owners=", owners), func(b *testing.B) {
			backend, s := benchStore(b)
			for client := range benchClients {
				if err := s.db.Write(context.Background(), `INSERT INTO {s}.node (id, ticket, seen) VALUES ($1, '', now())`, strconv.Itoa(client)); err != nil {
					b.Fatal(err)
				}
			}
			script := filepath.Join(b.TempDir(), "publish.sql")
			text := migrations.Named(backend.Schema).SQL(fmt.Sprintf(`\set o random(1, %d)
\set r random(1, 1000000000000)
BEGIN;
SELECT {s}.locked_1(:client_id::text, :r::text, ARRAY['o' || :o], ARRAY['o' || :o], ARRAY[]::bytea[], '{}', '{}', '{}', '{}');
%s;
COMMIT;
`, owners, publishedByPgbench()))
			if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			output, err := exec.Command(server.Program("pgbench"), "-n", "-M", "prepared", "-c", strconv.Itoa(benchClients), "-j", "2",
				"-t", strconv.Itoa(max(1, b.N/benchClients)), "-f", script, "-h", server.Host(), "-p", strconv.Itoa(server.Port), "-U", "postgres", "postgres").CombinedOutput()
			if err != nil {
				b.Fatalf("%v\n%s", err, output)
			}
			found := tps.FindSubmatch(output)
			if found == nil {
				b.Fatalf("pgbench says %s", output)
			}
			rate, _ := strconv.ParseFloat(string(found[1]), 64)
			b.ReportMetric(rate, "publishes/s")
		})
	}
}

// publishedByPgbench is the statement of a publish with values that pgbench chooses.
func publishedByPgbench() string {
	values := []string{
		"'o' || :o", "'p'", "'1'", "'f' || :r", "'o' || :o", "'p'", "'1'", "'f' || :r",
		"sha256(:r::text::bytea)", "1", ":client_id || '/' || :r", "(extract(epoch FROM now()) * 1000000000)::bigint",
		"43200000000000", "'alice'", "1", "''", "false", "false", "false", "0", "0", "0", "0", "'{}'", "NULL::bigint",
	}
	statement := publishSQL
	for i, value := range slices.Backward(values) {
		statement = strings.ReplaceAll(statement, "$"+strconv.Itoa(i+1), value)
	}
	return statement
}

// BenchmarkPages reads pages of 50 versions of an owner with 300,000, of which one package
// has 100,000, and opens the store. In the long run these are a million and 500,000.
func BenchmarkPages(b *testing.B) {
	inOne, others := 100_000, 20_000
	if os.Getenv("GENERIC_REGISTRY_LONG") != "" {
		inOne, others = 500_000, 50_000
	}
	backend, s := benchStore(b)
	if _, _, err := s.Publish(context.Background(), publication(s, "o", "f")); err != nil {
		b.Fatal(err)
	}
	fill := []string{
		`INSERT INTO {s}.package (id, owner_id, key, name, versions, files, bytes)
			SELECT nextval('{s}.ids'), o.id, 'p' || g, 'p' || g, n, n, n
			FROM {s}.owner o, generate_series(0, :others) g, LATERAL (SELECT CASE g WHEN 0 THEN :inOne ELSE 10 END AS n) t WHERE o.key = 'o'`,
		`INSERT INTO {s}.version (id, owner_id, package_id, key, name, rank, creator, created, draft, files, bytes)
			SELECT nextval('{s}.ids'), p.owner_id, p.id, 'v' || g, 'v' || g, '', 'alice', (random() * 1e18)::bigint, false, 1, 1
			FROM {s}.package p, LATERAL generate_series(1, p.versions) g WHERE p.key LIKE 'p_%'`,
		`UPDATE {s}.owner SET versions = 1 + :inOne + 10 * :others, packages = 2 + :others WHERE key = 'o'`,
	}
	numbers := strings.NewReplacer(":inOne", strconv.Itoa(inOne), ":others", strconv.Itoa(others))
	conn := connection(b, backend)
	for _, sql := range append(fill, `ANALYZE {s}.version`, `ANALYZE {s}.package`) {
		if _, err := conn.Exec(context.Background(), migrations.Named(backend.Schema).SQL(numbers.Replace(sql)), pgx.QueryExecModeSimpleProtocol); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("opening", func(b *testing.B) {
		for b.Loop() {
			again, err := backend.OpenMetadata(context.Background(), "", quiet)
			if err != nil {
				b.Fatal(err)
			}
			if err := again.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, query := range map[string]store.VersionQuery{
		"owner":      {Owner: "o"},
		"package":    {Owner: "o", Package: "p0"},
		"page=1000":  {Owner: "o", Skip: 50 * 1000},
		"search=p77": {Owner: "o", Search: "p77"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				query.Limit, query.Total = 50, true
				page, err := s.Versions(context.Background(), query)
				if err != nil || len(page.Versions) != 50 {
					b.Fatalf("%d versions: %v", len(page.Versions), err)
				}
			}
		})
	}
}
