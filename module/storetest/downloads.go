package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// countClauses are the contract of what is kept of files beside their publish: downloads,
// and other hashes.
var countClauses = map[string]func(*metadataFixture){
	"downloads are counted for the file that they were of": downloadsCounted,
	"hashes are kept with the bytes that they are of":      hashesKept,
}

func downloadsCounted(f *metadataFixture) {
	ctx := context.Background()
	first, second := f.mustPublish(ref("o", "p", "1", "f"), "x"), f.mustPublish(ref("o", "p", "1", "g"), "y")
	draft := f.mustDraft(ref("o", "p", "2", "f"), "z")
	f.noError(f.AddDownloads(ctx, []store.Download{
		{Ref: first.Ref, ID: first.ID, Count: 2, Last: epoch.Add(time.Hour)},
		{Ref: ref("O", "P", "1", "G"), ID: second.ID, Count: 1, Last: epoch},
		{Ref: first.Ref, ID: first.ID, Count: 1, Last: epoch},
		{Ref: draft.Ref, ID: draft.ID, Count: 1, Last: epoch},
		{Ref: second.Ref, ID: second.ID + 100, Count: 50, Last: epoch.AddDate(1, 0, 0)},
		{Ref: ref("nobody", "p", "1", "f"), ID: 1, Count: 1, Last: epoch},
	}))
	f.noError(f.AddDownloads(ctx, nil))
	f.reopen()
	file := f.mustLookup(first.Ref)
	f.want([]any{file.Downloads, file.Downloaded}, []any{int64(3), epoch.Add(time.Hour)})
	version, err := f.FindVersion(ctx, first.VersionRef)
	f.noError(err)
	f.want([]any{version.Downloads, version.Downloaded}, []any{int64(4), epoch.Add(time.Hour)})
	hidden, err := f.LookupDraft(ctx, draft.Ref)
	f.noError(err)
	f.want(hidden.Downloads, int64(0))
	f.noError(f.DeleteFile(ctx, first.Ref, act))
	f.want(f.mustPublish(first.Ref, "x").Downloads, int64(0))
	f.check()
}

func hashesKept(f *metadataFixture) {
	ctx := context.Background()
	file := f.mustPublish(ref("o", "p", "1", "f"), "x")
	f.want(file.Hashes.IsKnown(), false)
	hashes := store.NewHashes(make([]byte, 16), slices.Repeat([]byte{1}, 20), slices.Repeat([]byte{2}, 64))
	f.noError(f.SetHashes(ctx, file.Digest, hashes))
	f.noError(f.SetHashes(ctx, digestOf("nobody's"), hashes))
	f.mustPublish(ref("o", "p", "1", "g"), "x")
	f.want(f.mustLookup(ref("o", "p", "1", "g")).Hashes, hashes)
	page, err := f.Files(ctx, store.FileQuery{VersionRef: file.VersionRef})
	f.noError(err)
	f.want(page.Files[0].Hashes.SHA1(), "0101010101010101010101010101010101010101")
	f.noError(f.DeleteVersion(ctx, file.VersionRef, act))
	f.drain()
	f.want(f.mustPublish(file.Ref, "x").Hashes.IsKnown(), false)
}
