//go:build servers

package postgres

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestListsOfManyOwners: who may read nothing of 60,000 owners, or one package of them, gets a
// list in the time of a read. Seen to fail with a query for each owner: no answer in time. And
// without None: packages are read of which none is selected.
func TestListsOfManyOwners(t *testing.T) {
	b := newBackend(t)
	s := opened(t, b)
	conn := connection(t, b)
	for _, sql := range []string{
		`INSERT INTO {s}.owner (key, name, packages, versions, files, bytes)
			SELECT 'o' || n, 'O' || n, 2, 2, 4, 40 FROM generate_series(1, 60000) n`,
		`INSERT INTO {s}.package (id, owner_id, key, name, versions, files, bytes)
			SELECT nextval('{s}.ids'), o.id, p, p, 1, 2, 20 FROM {s}.owner o, unnest(ARRAY['p', 'q']) p`,
		`ANALYZE {s}.owner, {s}.package`,
	} {
		if _, err := conn.Exec(t.Context(), migrations.Named(b.Schema).SQL(sql)); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	last := func(owner, pkg string) bool { asked++; return owner == "o9999" && pkg == "q" }
	for name, test := range map[string]struct {
		selected store.Selection
		want     []store.OwnerInfo
		asked    int
	}{
		"one package": {store.Selection{Select: last},
			[]store.OwnerInfo{{Name: "O9999", Packages: 1, Sums: store.Sums{Versions: 1, Files: 2, Bytes: 20}}}, 120_000},
		"nothing of any owner": {store.Selection{Select: last, None: func(string) bool { return true }}, nil, 0},
		"one owner, and nothing of others": {store.Selection{Select: last, Whole: func(owner string) bool { return owner == "o31" }, None: func(owner string) bool { return owner != "o31" }},
			[]store.OwnerInfo{{Name: "O31", Packages: 2, Sums: store.Sums{Versions: 2, Files: 4, Bytes: 40}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked = 0
			page, err := s.Owners(t.Context(), store.OwnerQuery{Selection: test.selected, Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Owners) != len(test.want) || len(test.want) > 0 && page.Owners[0] != test.want[0] || page.Next != "" {
				t.Errorf("the page is %+v, want %+v", page, test.want)
			}
			if asked != test.asked {
				t.Errorf("asked of %d packages, want %d", asked, test.asked)
			}
		})
	}
}
