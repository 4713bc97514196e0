package visit

import "testing"

func TestAnEmptyPrefixServesFromTheTop(t *testing.T) {
	prefix, err := ParsePrefix("prefix", "/")
	if err != nil {
		t.Fatal(err)
	}
	below, inside := ParsePath("/o/generic/p/1/f").Under(prefix)
	if segments, err := below.Segments(); !inside || err != nil || len(segments) != 5 {
		t.Errorf("segments are %q, inside %v, error %v; want all five", segments, inside, err)
	}
}

func TestPrefixesThatCannotBe(t *testing.T) {
	for _, prefix := range []string{"", "api", "/a/../b", "/%zz", "/a\\b"} {
		if _, err := ParsePrefix("prefix", prefix); err == nil {
			t.Errorf("%q is accepted", prefix)
		}
	}
}
