package storetest

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
)

func reopened(f *metadataFixture) {
	first := f.mustPublish(ref("a", "p", "1", "f"), "x")
	second := f.mustPublish(ref("a", "p", "2", "f"), "y")
	condemned := f.mustPublish(ref("a", "p", "3", "f"), "z").Locator
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "3", "f"), act))
	f.reopen()
	for _, file := range []store.File{first, second} {
		if f.mustLookup(file.Ref) != file {
			f.Errorf("%v changed", file.Ref)
		}
	}
	f.wantMissing(ref("a", "p", "3", "f"), store.ErrPackageNotFound)
	blob, err := f.FindBlob(context.Background(), first.Digest)
	f.noError(err)
	if blob != first.Blob {
		f.Errorf("blob is %+v, want %+v", blob, first.Blob)
	}
	f.wantCondemned(condemned)
}

func endedContext(f *metadataFixture) {
	file := f.mustPublish(ref("a", "p", "1", "f"), "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := f.publication(ref("a", "p", "1", "g"), "y")
	_, _, err := f.Publish(ctx, p)
	f.wantError(err, context.Canceled)
	f.wantError(f.DeleteFile(ctx, file.Ref, act), context.Canceled)
	f.wantError(f.DeleteVersion(ctx, file.VersionRef, act), context.Canceled)
	f.wantError(f.Admit(ctx), context.Canceled)
	_, err = f.Lookup(ctx, file.Ref)
	f.wantError(err, context.Canceled)
	_, err = f.Blobs(ctx, store.Digest{}, 1)
	f.wantError(err, context.Canceled)
	f.wantError(f.SaveScrub(ctx, store.Scrub{Started: epoch}), context.Canceled)
	f.wantMissing(ref("a", "p", "1", "g"), store.ErrFileNotFound)
	if f.mustLookup(file.Ref) != file {
		f.Error("the file changed")
	}
	if len(f.unnamed(p.Locator)) != 1 {
		f.Error("the bytes of a publish that never was have a name")
	}
}

func closedStore(f *metadataFixture) {
	ctx := context.Background()
	f.noError(f.Admit(ctx))
	p := f.publication(ref("a", "p", "1", "f"), "x")
	if _, ok := f.MetadataStore.(store.Shared); !ok {
		_, err := f.open()
		f.wantError(err, store.ErrLocked)
	}
	f.noError(f.Close())
	f.noError(f.Close())
	errs := map[string]error{
		"DeleteFile":    f.DeleteFile(ctx, ref("a", "p", "1", "f"), act),
		"DeleteVersion": f.DeleteVersion(ctx, ref("a", "p", "1", "").VersionRef, act),
		"Bury":          f.Bury(ctx, []store.Locator{p.Locator}),
		"SaveScrub":     f.SaveScrub(ctx, store.Scrub{Started: epoch}),
	}
	errs["Admit"] = f.Admit(ctx)
	if knowing, ok := f.MetadataStore.(binding.Metadata); ok {
		errs["BindBlobs"] = knowing.BindBlobs(ctx, "blobs")
	}
	_, _, errs["Publish"] = f.Publish(ctx, p)
	_, errs["Lookup"] = f.Lookup(ctx, ref("a", "p", "1", "f"))
	_, errs["FindBlob"] = f.FindBlob(ctx, digestOf("x"))
	_, errs["MarkDamage"] = f.MarkDamage(ctx, p.Blob, store.DamageMissing)
	_, _, errs["Damaged"] = f.Damaged(ctx, 1)
	_, errs["Blobs"] = f.Blobs(ctx, store.Digest{}, 1)
	_, errs["LastScrub"] = f.LastScrub(ctx)
	_, errs["Reclaim"] = f.Reclaim(ctx, 1)
	_, errs["CleanUp"] = f.CleanUp(ctx)
	_, errs["Unnamed"] = f.Unnamed(ctx, []store.Locator{p.Locator})
	for method, err := range errs {
		if err == nil {
			f.Errorf("%s works on a closed store", method)
			continue
		}
		f.wantError(err, store.ErrUnavailable)
	}
	f.mustOpen()
	f.wantMissing(ref("a", "p", "1", "f"), store.ErrPackageNotFound)
}

func ownID(f *metadataFixture) {
	id := f.ID()
	if id == "" {
		f.Error("no ID")
	}
	f.reopen()
	if f.ID() != id {
		f.Errorf("ID was %q, is %q", id, f.ID())
	}
}
