package badger

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

func TestRecordsComeBack(t *testing.T) {
	moment := func(rt *rapid.T) time.Time {
		return time.Unix(0, rapid.Int64Min(0).Draw(rt, "time")).UTC()
	}
	number, text := rapid.Uint64(), rapid.String()
	sums := func(rt *rapid.T) counts {
		return counts{versions: number.Draw(rt, "versions"), files: number.Draw(rt, "files"), bytes: number.Draw(rt, "bytes")}
	}
	rapid.Check(t, func(rt *rapid.T) {
		records := []struct{ written, read coding.Record }{
			{&versionRecord{
				id: number.Draw(rt, "id"), owner: text.Draw(rt, "owner"), name: text.Draw(rt, "package"), version: text.Draw(rt, "version"),
				creator: text.Draw(rt, "creator"), created: moment(rt), files: number.Draw(rt, "files"), bytes: number.Draw(rt, "bytes"),
				rank: text.Draw(rt, "rank"), draft: rapid.Bool().Draw(rt, "draft"), released: number.Draw(rt, "released"),
				downloads: downloads{count: 1, last: time.Unix(9, 1).UTC()},
			}, new(versionRecord)},
			{&fileRecord{
				id: number.Draw(rt, "id"), name: text.Draw(rt, "name"), digest: store.Digest{1, 2, 3}, size: number.Draw(rt, "size"),
				creator: text.Draw(rt, "creator"), created: moment(rt),
			}, new(fileRecord)},
			{&blobRecord{locator: store.Locator(text.Draw(rt, "locator")), size: number.Draw(rt, "size"), references: number.Draw(rt, "references"), hashes: text.Draw(rt, "hashes")}, new(blobRecord)},
			{&packageRecord{id: number.Draw(rt, "id"), name: text.Draw(rt, "package"), published: sums(rt), drafts: sums(rt)}, new(packageRecord)},
			{&ownerRecord{name: text.Draw(rt, "owner"), packages: number.Draw(rt, "packages"), published: sums(rt), drafts: sums(rt)}, new(ownerRecord)},
			{&graveRecord{lastFile: text.Draw(rt, "last")}, new(graveRecord)},
			{&indexRecord{packageID: number.Draw(rt, "id"), name: text.Draw(rt, "name"), version: text.Draw(rt, "version")}, new(indexRecord)},
			{&tombRecord{lastVersion: text.Draw(rt, "last")}, new(tombRecord)},
			{&idRecord{next: number.Draw(rt, "next")}, new(idRecord)},
			{&storeRecord{id: text.Draw(rt, "id")}, new(storeRecord)},
			{new(condemnedRecord), new(condemnedRecord)},
		}
		for _, r := range records {
			key := []byte(text.Draw(rt, "key"))
			if err := coding.Decode(key, coding.Encode(key, r.written), r.read); err != nil {
				rt.Fatal(err)
			}
			if !reflect.DeepEqual(r.written, r.read) {
				rt.Fatalf("wrote %+v, read %+v", r.written, r.read)
			}
		}
	})
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	key := []byte("v/key")
	value := coding.Encode(key, &versionRecord{id: 7, owner: "o", name: "p", version: "1", creator: "c", created: time.Unix(1, 2), files: 3, bytes: 4})
	for i := range len(value) * 8 {
		damagedValue := bytes.Clone(value)
		damagedValue[i/8] ^= 1 << (i % 8)
		if err := coding.Decode(key, damagedValue, new(versionRecord)); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("bit %d: error is %v", i, err)
		}
	}
	for n := range value {
		if err := coding.Decode(key, value[:n], new(versionRecord)); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%d bytes: error is %v", n, err)
		}
	}
	if err := coding.Decode([]byte("v/other"), value, new(versionRecord)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("under another key: error is %v", err)
	}
	if err := coding.Decode(key, value, new(blobRecord)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("as another record: error is %v", err)
	}
}

// FuzzDecode: no value panics, and one that is accepted is what encode writes.
func FuzzDecode(f *testing.F) {
	key := []byte("k")
	f.Add(coding.Encode(key, &versionRecord{owner: "o", created: time.Unix(1, 0)}))
	f.Add(coding.Encode(key, &fileRecord{name: "f", created: time.Unix(1, 0)}))
	f.Add(coding.Encode(key, &blobRecord{locator: "a/b"}))
	f.Add(coding.Encode(key, &useRecord{time.Unix(1, 0)}))
	pattern, err := naming.ParsePattern("tool-*")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(coding.Encode(key, &tokenRecord{token: grant.Token{ID: "i", Created: time.Unix(1, 0), Scope: grant.Scope{
		Actions: []grant.Action{grant.Read}, Owners: []naming.Pattern{pattern},
	}}}))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, record := range []coding.Record{new(versionRecord), new(fileRecord), new(blobRecord), new(ownerRecord), new(packageRecord), new(indexRecord), new(graveRecord), new(tombRecord), new(stateRecord), new(tokenRecord), new(nameRecord), new(useRecord)} {
			if coding.Decode(key, value, record) != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(record).Elem()).Interface().(coding.Record)
			if err := coding.Decode(key, coding.Encode(key, record), again); err != nil || !reflect.DeepEqual(record, again) {
				t.Fatalf("%+v becomes %+v: %v", record, again, err)
			}
		}
	})
}
