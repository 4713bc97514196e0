package storetest

import (
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// overwrite puts other bytes under a locator, as a disk that lies does.
func (f *pairFixture) overwrite(locator store.Locator, content []byte) {
	f.Helper()
	f.noError(f.blobs.Delete(context.Background(), locator))
	w, err := f.blobs.CreateAt(context.Background(), locator, int64(len(content)))
	f.noError(err)
	_, err = w.Write(content)
	f.noError(err)
	_, err = w.Commit(context.Background())
	f.noError(err)
}

// pairVerifies: every way in which a blob of the store can be damaged is found, the
// wrong bytes are gone from where they lay, and publishing brings all of it back.
func pairVerifies(f *pairFixture) {
	content := func(i int) string { return string(pattern(20_000 + i)) }
	blob := func(i int) store.Blob {
		file, err := f.Lookup(context.Background(), ref("a", "p", "1", numbered(i)))
		f.noError(err)
		return file.Blob
	}
	for i := range 300 { // more than a page
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), content(i)))
	}
	flipped := []byte(content(1))
	flipped[10_000] ^= 0x10
	want := map[store.Digest]store.DamageKind{
		blob(0).Digest: store.DamageMissing, blob(1).Digest: store.DamageDigest, blob(2).Digest: store.DamageSize,
	}
	f.noError(f.blobs.Delete(context.Background(), blob(0).Locator))
	f.overwrite(blob(1).Locator, flipped)
	f.overwrite(blob(2).Locator, []byte("short"))

	report := f.mustVerify()
	if len(report.Damage) != len(want) || report.Scrub.Blobs != 300 {
		f.Errorf("the report is %+v", report)
	}
	for _, damage := range report.Damage {
		if want[damage.Digest] != damage.Kind {
			f.Errorf("%s: %s, want %q", damage.Digest, damage.Kind, want[damage.Digest])
		}
	}
	f.reopen() // what was done about it lasts
	for i := range 3 {
		_, err := f.read(ref("a", "p", "1", numbered(i)))
		f.wantError(err, store.ErrDamaged)
		_, err = f.blobs.Stat(context.Background(), blob(i).Locator)
		f.wantError(err, store.ErrBlobNotFound)
		f.noError(f.publish(ref("a", "healed", fmt.Sprint(i), "f"), content(i)))
	}
	if report := f.mustVerify(); !report.Sound() || report.Scrub.Blobs != 300 || f.Health().Damage.Count != 0 {
		f.Errorf("healed: %+v, %+v", report, f.Health().Damage)
	}
	for i := range 300 {
		f.wantContent(ref("a", "p", "1", numbered(i)), content(i))
	}
	last, err := f.metadata.LastScrub(context.Background())
	f.noError(err)
	if last.Blobs != 300 || last.Damaged != 0 || last.Finished.IsZero() {
		f.Errorf("the last scrub is %+v", last)
	}
	if count := f.reapAndSweep(); count != 300 {
		f.Errorf("%d blobs are left", count)
	}
}

func (f *pairFixture) mustVerify() integrity.VerifyReport {
	f.Helper()
	report, err := f.Verify(context.Background(), integrity.VerifyOptions{}, nil)
	f.noError(err)
	return report
}

// pairRotten: nothing has looked at the bytes since they rotted, and they have their size.
func pairRotten(f *pairFixture) {
	content := string(pattern(300_000))
	first, second := ref("a", "p", "1", "f"), ref("b", "q", "2", "g")
	for _, delete := range []bool{false, true} {
		f.noError(f.publish(first, content))
		file, err := f.Lookup(context.Background(), first)
		f.noError(err)
		rotten := []byte(content)
		rotten[150_000] ^= 1
		f.overwrite(file.Locator, rotten)
		if delete { // the same name, as soon as it is free
			f.noError(f.DeleteFile(context.Background(), first, store.Act{User: "alice"}))
			f.noError(f.publish(first, content))
			f.wantContent(first, content)
			continue
		}
		f.noError(f.publish(second, content))
		f.wantContent(first, content)
		f.wantContent(second, content)
		f.noError(f.DeleteFile(context.Background(), first, store.Act{User: "alice"}))
	}
	if count := f.reapAndSweep(); count != 1 {
		f.Errorf("%d blobs are left, want 1", count)
	}
}
