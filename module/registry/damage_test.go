package registry

import (
	"encoding/binary"
	"slices"
	"testing"
)

func damageAt(i int, locator Locator) Damage {
	d := Damage{Kind: DamageMissing, Blob: Blob{Locator: locator}}
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
			if fresh := s.add(damageAt(i, "00000000/x")); fresh != (pass == 0 && i < maxDamage) {
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
	s.gone([]Locator{old.Locator})
	s.add(old)
	if !s.has(old.Blob) || s.has(replacing.Blob) || s.forget(replacing.Blob) || s.replaced(old.Blob) {
		t.Error("the damage is of another blob")
	}
	if !s.replaced(replacing.Blob) || s.has(old.Blob) {
		t.Error("a blob that was replaced is still damaged")
	}
	s.add(old)
	if !s.add(replacing) || s.has(old.Blob) || !s.has(replacing.Blob) {
		t.Error("the damage of a blob that took another's place is no news")
	}
	s.add(damageAt(2, "00000000/two"))
	s.gone([]Locator{old.Locator, replacing.Locator})
	if _, digests := s.summary(10); !slices.Equal(digests, []Digest{damageAt(2, "").Digest}) {
		t.Errorf("left: %v", digests)
	}
	if !s.forget(damageAt(2, "00000000/two").Blob) {
		t.Error("the damage is not known")
	}
}
