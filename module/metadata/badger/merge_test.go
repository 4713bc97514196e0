package badger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/names"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestMergedIndexesAreThatOfTheOwner: what is merged out of the indexes of packages is what
// the owner's index has of them, also where one package has most of what is wanted.
//
// Seen to fail when no index is read again.
func TestMergedIndexesAreThatOfTheOwner(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	const packages = 6
	for i := range 240 {
		pkg := rand.IntN(packages)
		if i%3 == 0 || i > 200 {
			pkg = 0 // has most, and the newest
		}
		p := publicationOf(store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: fmt.Sprint("p", pkg), Version: fmt.Sprint(i)}, File: "f"}, byte(i))
		p.Created = time.Unix(int64(i/4), 0)
		if _, _, err := s.Publish(context.Background(), p); err != nil {
			t.Fatal(err)
		}
	}
	err := s.view(context.Background(), func(r reader) error {
		l := lister{reader: r, ctx: context.Background(), query: store.VersionQuery{Owner: "o"}, alive: make(map[uint64]bool)}
		for round := range 300 {
			wanted := make(map[string]bool)
			var ids []uint64
			err := l.eachNamed(l.ctx, "o", func(p names.Package) {
				if len(ids) == 0 || rand.IntN(3) > 0 {
					wanted[p.Name], ids = true, append(ids, p.ID)
				}
			})
			if err != nil {
				return err
			}
			needed := 1 + rand.Int64N(80)
			got, err := l.merge(ids, needed)
			if err != nil {
				return err
			}
			want, err := l.walk(timesKey("o"), 0, needed, func(pkg string) bool { return wanted[pkg] })
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("round %d: the first %d of %v are %v, want %v, %v", round, needed, wanted, got, want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
