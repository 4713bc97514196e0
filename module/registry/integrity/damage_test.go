package integrity

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func damageAt(i int, locator store.Locator) Damage {
	d := Damage{Kind: DamageMissing, Blob: store.Blob{Locator: locator}}
	binary.BigEndian.PutUint32(d.Digest[:], uint32(i))
	return d
}

// TestDamageIsBounded: beyond the bound damage is counted, once for each pass.
func TestDamageIsBounded(t *testing.T) {
	var s damageSet
	const extra = 50
	for pass := range 3 {
		s.begin()
		for i := range maxDamage + extra {
			if fresh := s.Add(damageAt(i, "00000000/x")); fresh != (pass == 0 && i < maxDamage) {
				t.Fatalf("pass %d: the news of %d is %v", pass, i, fresh)
			}
		}
		if count, digests := s.summary(100); count != maxDamage+extra || len(digests) != 100 {
			t.Fatalf("pass %d: %d are damaged, %d are named", pass, count, len(digests))
		}
		s.end()
	}
	// While the next pass has not come to them yet they still count.
	s.begin()
	if count, _ := s.summary(0); count != maxDamage+extra {
		t.Errorf("%d are damaged", count)
	}
	s.end()
	if count, _ := s.summary(0); count != maxDamage {
		t.Errorf("%d are damaged", count)
	}
}

func TestDamageIsOfALocator(t *testing.T) {
	var s damageSet
	old, replacing := damageAt(1, "00000000/old"), damageAt(1, "00000000/new")
	if s.has(old.Blob) || s.forget(old.Blob) || s.replaced(old.Blob) {
		t.Error("an empty set knows damage")
	}
	s.gone([]store.Locator{old.Locator})
	s.Add(old)
	if !s.has(old.Blob) || s.has(replacing.Blob) || s.forget(replacing.Blob) || s.replaced(old.Blob) {
		t.Error("the damage is of another blob")
	}
	if !s.replaced(replacing.Blob) || s.has(old.Blob) {
		t.Error("a blob that was replaced is still damaged")
	}
	s.Add(old)
	if !s.Add(replacing) || s.has(old.Blob) || !s.has(replacing.Blob) {
		t.Error("the damage of a blob that took another's place is no news")
	}
	s.Add(damageAt(2, "00000000/two"))
	s.gone([]store.Locator{old.Locator, replacing.Locator})
	if _, digests := s.summary(10); !slices.Equal(digests, []store.Digest{damageAt(2, "").Digest}) {
		t.Errorf("left: %v", digests)
	}
	if !s.forget(damageAt(2, "00000000/two").Blob) {
		t.Error("the damage is not known")
	}
}
