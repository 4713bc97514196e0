package badger

import (
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// TestCheckTellsContradictions: each count and index of the database, and the
// journal, when one record of it is another.
func TestCheckTellsContradictions(t *testing.T) {
	ref := numberedRef("o", 3)
	// change puts another record in place of one.
	change := func(key []byte, record coding.Record, damage func()) func(b *batch) {
		return func(b *batch) {
			if found, err := b.get(key, record); err != nil || !found {
				t.Errorf("record %q: %v, %v", key, found, err)
			}
			damage()
			b.put(key, record)
		}
	}
	var blob blobRecord
	var version versionRecord
	var owner ownerRecord
	var pkg packageRecord
	var file fileRecord
	const packageID = 1 // that of its first version
	const versionID = 7 // of number 3: a version and its file take an id each, from 1
	blobAt, versionAt := blobKey(store.Digest{3}), versionKey(packageID, ref.Version)
	for _, test := range []struct {
		name   string
		damage func(b *batch)
		says   string
	}{
		{"nothing", func(*batch) {}, ""},
		{"one reference more", change(blobAt, &blob, func() { blob.references++ }), "references of blobs"},
		{"a blob is gone", func(b *batch) { b.delete(blobAt) }, "references of blobs"},
		{"an older record of a blob came back", change(blobAt, &blob, func() { blob.locator += "x" }), "blobs are missing, or came back"},
		{"damage that the index does not have", change(blobAt, &blob, func() { blob.damage = store.DamageMissing }), "index of damaged blobs"},
		{"an index of damage that no blob has", func(b *batch) { b.put(damagedKey(blobAt[len(blobPrefix):]), &damagedRecord{}) }, "index of damaged blobs"},
		{"damage that was not counted", change(blobAt, &blob, func() { blob.damage = store.DamageMissing }), "as many damaged blobs as counted"},
		{"a version of more files", change(versionAt, &version, func() { version.files++ }), "as many files"},
		{"a version of more bytes", change(versionAt, &version, func() { version.bytes++ }), "versions do not have as many bytes"},
		{"an owner of more bytes", change(ownerKey("o"), &owner, func() { owner.published.bytes++ }), "owners do not have as many bytes"},
		{"an owner of more files", change(ownerKey("o"), &owner, func() { owner.published.files++ }), "owners do not have as many files"},
		{"an owner of fewer versions", change(ownerKey("o"), &owner, func() { owner.published.versions-- }), "owners do not have as many versions"},
		{"a package of more versions", change(packageKey("o", "p"), &pkg, func() { pkg.published.versions++ }), "packages do not have as many versions"},
		{"a larger file", change(fileKey(versionID, "f"), &file, func() { file.size++ }), "as many bytes"},
		{"a file is gone", func(b *batch) { b.delete(fileKey(versionID, "f")) }, "files are missing"},
		{"a version is gone", func(b *batch) { b.delete(versionAt) }, "versions are missing"},
		{"an owner of more packages", change(ownerKey("o"), &owner, func() { owner.packages++ }), "owners do not have as many packages"},
		{"an owner of drafts", change(ownerKey("o"), &owner, func() { owner.drafts.versions++ }), "owners do not have as many versions"},
		{"an entry by time too many", func(b *batch) {
			b.put(append(timesKey("o"), newestFirst(testAct.Time, 99)...), &indexRecord{packageID: packageID, name: "p", version: "x"})
		}, "indexes of versions"},
		{"an entry of a package by time is gone", func(b *batch) {
			b.delete(append(idKey(newestPrefix, packageID), newestFirst(time.Unix(1, 0), versionID)...))
		}, "indexes of versions"},
		{"a token that nobody made", func(b *batch) {
			key := tokenKey("aaaaaaaaaa")
			b.put(key, &tokenRecord{token: grant.Token{ID: "aaaaaaaaaa"}})
		}, "tokens are missing, or came back"},
		{"a flipped bit", func(b *batch) {
			value := coding.Encode(blobAt, &blobRecord{size: 1, references: 1})
			value[2] ^= 1
			b.write(blobAt, value)
		}, "checksum"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := publishedStore(t, t.TempDir(), 6)
			defer mustClose(t, s)
			write(t, s, test.damage)
			wantProblem(t, s, test.says)
		})
	}
}

// TestCheckReadsTheJournal, of which opening has read only the end.
func TestCheckReadsTheJournal(t *testing.T) {
	root := t.TempDir()
	s := publishedStore(t, root, 6)
	defer mustClose(t, s)
	changeLine(t, root, 2)
	wantProblem(t, s, "journal: ")
}

func wantProblem(t *testing.T, s *Store, says string) {
	t.Helper()
	var problems []string
	if err := s.Check(t.Context(), func(problem string) { problems = append(problems, problem) }); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(problems, "\n")
	if (says == "") != (len(problems) == 0) || !strings.Contains(all, says) {
		t.Errorf("problems are %q, want one that says %q", all, says)
	}
}
