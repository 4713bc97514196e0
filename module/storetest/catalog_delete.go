package storetest

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func catalogDeletes(f *metadataFixture) {
	fillCatalog(f)
	f.noError(f.DeleteVersion(context.Background(), ref("alice", "tool", "1.0", "").VersionRef, act))
	f.noError(f.DeleteFile(context.Background(), ref("alice", "tool", "1.1", "f"), act))
	f.noError(f.DeleteFile(context.Background(), ref("bob", "tool", "5", "f"), act))
	page := f.versions(store.VersionQuery{Owner: "alice", Total: true})
	f.wantVersions(page.Versions, "lib 2.0", "Tool 0.9", "lib 1.0")
	f.want(page.Total, int64(3))
	owners, err := f.Owners(context.Background(), store.OwnerQuery{})
	f.noError(err)
	size := int64(len(numbered(0)))
	f.want(owners.Owners, []store.OwnerInfo{{Name: "Alice", Packages: 2, Sums: store.Sums{Versions: 3, Files: 3, Bytes: 3 * size}}})
	_, err = f.Files(context.Background(), store.FileQuery{VersionRef: ref("alice", "tool", "1.0", "").VersionRef})
	f.wantError(err, store.ErrPackageNotFound)
}

func deletePackage(f *metadataFixture) {
	ctx := context.Background()
	fillCatalog(f)
	kept := f.mustLookup(ref("alice", "lib", "1.0", "f"))
	f.noError(f.DeletePackage(ctx, "ALICE", "tool", act))
	f.wantError(f.DeletePackage(ctx, "alice", "tool", act), store.ErrPackageNotFound)
	f.wantError(f.DeletePackage(ctx, "nobody", "tool", act), store.ErrPackageNotFound)
	f.wantMissing(ref("alice", "tool", "1.0", "f"), store.ErrPackageNotFound)
	page := f.versions(store.VersionQuery{Owner: "alice", Total: true})
	f.wantVersions(page.Versions, "lib 2.0", "lib 1.0")
	f.want(page.Total, int64(2))
	f.wantVersions(f.versions(store.VersionQuery{Owner: "alice", Skip: 1}).Versions, "lib 1.0")
	usage, err := f.Usage(ctx, "alice")
	f.noError(err)
	f.want(usage, store.Usage{Versions: 2, Files: 2, Bytes: 2 * int64(len(numbered(0)))})
	again := f.mustPublish(ref("alice", "tool", "1.0", "f"), "again")
	f.reopen()
	f.want(f.mustLookup(ref("alice", "tool", "1.0", "f")), again)
	f.want(len(f.drain()), 4) // of the contents that only the package had
	f.want(f.mustLookup(again.Ref), again)
	f.want(f.mustLookup(kept.Ref), kept)
	f.noError(f.DeletePackage(ctx, "alice", "lib", act))
	f.noError(f.DeletePackage(ctx, "alice", "tool", act))
	f.noError(f.DeletePackage(ctx, "bob", "tool", act))
	f.want(len(f.drain()), 4)
	owners, err := f.Owners(ctx, store.OwnerQuery{})
	f.noError(err)
	f.want(len(owners.Owners), 0)
}

func deleteLargePackage(f *metadataFixture) {
	const versions = 700 // more than one step takes
	for i := range versions {
		f.mustPublish(ref("o", "p", fmt.Sprint(i), "f"), numbered(i))
	}
	f.mustPublish(ref("o", "q", "1", "f"), "kept")
	f.noError(f.DeletePackage(context.Background(), "o", "p", act))
	f.wantVersions(f.versions(store.VersionQuery{Owner: "o", Limit: 3}).Versions, "q 1")
	f.reopen()
	f.want(len(f.drain()), versions)
	if checked, ok := f.MetadataStore.(store.Checked); ok {
		f.noError(checked.Check(context.Background(), func(problem string) { f.Errorf("%s", problem) }))
	}
}
