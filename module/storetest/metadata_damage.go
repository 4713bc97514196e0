package storetest

import (
	"bytes"
	"context"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// wantDamaged holds that these blobs are known to be damaged, and the store knows how many.
func (f *metadataFixture) wantDamaged(want ...store.Digest) {
	f.Helper()
	slices.SortFunc(want, func(a, b store.Digest) int { return bytes.Compare(a[:], b[:]) })
	count, got, err := f.Damaged(context.Background(), 10)
	f.noError(err)
	if count != int64(len(want)) || !slices.Equal(got, want) {
		f.Errorf("%d damaged blobs, %v; want %v", count, got, want)
	}
	for _, blob := range f.pages(10) {
		if damaged := blob.Damage != ""; damaged != slices.Contains(want, blob.Digest) {
			f.Errorf("blob %s is listed with damage %q", blob.Digest, blob.Damage)
		}
	}
	f.check()
}

func (f *metadataFixture) mark(blob store.Blob, kind store.DamageKind, wantNews bool) {
	f.Helper()
	news, err := f.MarkDamage(context.Background(), blob, kind)
	f.noError(err)
	if news != wantNews {
		f.Errorf("marking %s as %q: news is %v, want %v", blob.Digest, kind, news, wantNews)
	}
}

func damageKept(f *metadataFixture) {
	f.wantDamaged()
	var files []store.File
	for i := range 4 {
		files = append(files, f.mustPublish(ref("a", "p", numbered(i), "f"), numbered(i)))
	}
	f.mark(files[0].Blob, "", false)
	f.mark(files[0].Blob, store.DamageDigest, true)
	f.mark(files[0].Blob, store.DamageDigest, false)
	f.mark(files[0].Blob, store.DamageMissing, false)
	f.mark(files[2].Blob, store.DamageUnreadable, true)
	for range 2 {
		f.wantDamaged(files[0].Digest, files[2].Digest)
		f.want(f.mustLookup(files[0].Ref).Damage, store.DamageDigest)
		f.want(f.mustLookup(files[1].Ref).Damage, store.DamageKind(""))
		blob, err := f.FindBlob(context.Background(), files[2].Digest)
		f.noError(err)
		f.want(blob.Damage, store.DamageUnreadable)
		f.reopen()
	}
	count, first, err := f.Damaged(context.Background(), 1)
	f.noError(err)
	f.want(count, int64(2))
	f.want(len(first), 1)
	f.mark(files[2].Blob, "", true)
	f.wantDamaged(files[0].Digest)
}

// damageEnds: with the bytes that were damaged, or with the last file of the digest.
func damageEnds(f *metadataFixture) {
	ctx := context.Background()
	var files []store.File
	for i := range 4 {
		files = append(files, f.mustPublish(ref("a", "p", numbered(i), "f"), numbered(i)))
		f.mark(files[i].Blob, store.DamageSize, true)
	}
	shared := f.mustPublish(ref("a", "shared", "1", "f"), numbered(0)) // and has other bytes now
	f.wantDamaged(files[1].Digest, files[2].Digest, files[3].Digest)
	f.want(f.mustLookup(files[0].Ref).Damage, store.DamageKind(""))
	_, err := f.MarkDamage(ctx, files[0].Blob, store.DamageMissing)
	f.wantError(err, store.ErrBlobNotFound)

	f.mark(shared.Blob, store.DamageMissing, true)
	f.noError(f.DeleteFile(ctx, files[0].Ref, act)) // another file still has the digest
	f.noError(f.DeleteFile(ctx, files[1].Ref, act))
	f.noError(f.DeleteVersion(ctx, files[2].VersionRef, act))
	f.drain()
	f.wantDamaged(shared.Digest, files[3].Digest)
	_, err = f.MarkDamage(ctx, files[1].Blob, store.DamageMissing)
	f.wantError(err, store.ErrBlobNotFound)
	f.reopen()
	f.noError(f.DeletePackage(ctx, "a", "p", act))
	f.noError(f.DeletePackage(ctx, "a", "shared", act))
	f.drain()
	f.wantDamaged()
}
