package versions

import (
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"
)

var drawVersion = rapid.OneOf(
	rapid.StringMatching(`v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}(-[a-c0-9-]{1,3}(\.[a-c0-9-]{1,3}){0,2})?(\+[a-c0-9]{1,2})?`),
	rapid.StringMatching(`[v0-9.+a-]{0,9}`),
	rapid.SampledFrom([]string{
		"1.0.0", "v1.0.0", "1", "v1.2", "2026.11", "1.0.0-rc.1", "1.0.0-rc.10", "1.0.0-rc.2", "1.0.0-RC1", "1.0.0-alpha",
		"1.0.0-99999999999999999999", "1.0.0-18446744073709551615", "18446744073709551615.0.0", "18446744073709551616.0.0",
		"1.0.0-0", "1.0.0--", "1.0.0-a-b", "latest", "nightly", "1.0.0.0", "", "V1.0.0", "1.0.0-01", "01.1", "1.0.0-rc.", "1.0.0+b",
	}),
)

// Seen to fail with lengths that are not counted down, and with a text that has no end.
func TestRanksAreInTheOrderOfVersions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, errA := semver.NewVersion(drawVersion.Draw(rt, "a"))
		b, errB := semver.NewVersion(drawVersion.Draw(rt, "b"))
		if errA != nil || errB != nil {
			return
		}
		rankA, rankB := rankOf(a), rankOf(b)
		if got := strings.Compare(rankB[1:], rankA[1:]); got != a.Compare(b) {
			rt.Fatalf("%s and %s compare as %d, their ranks %q and %q as %d", a, b, a.Compare(b), rankA, rankB, got)
		}
		if (rankA[:1] == Unstable) != (a.Prerelease() != "") {
			rt.Fatalf("%s has the rank %q", a, rankA)
		}
		if rankA != rankB && strings.HasPrefix(rankA, rankB) {
			rt.Fatalf("rank %q begins with rank %q", rankA, rankB)
		}
	})
}

// TestRanksAreOfVersionsAndBack: what has a rank, and which, is as NewVersion of the library says.
// Seen to fail with versions that are only read strictly.
func TestRanksAreOfVersionsAndBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := drawVersion.Draw(rt, "version")
		version, err := semver.NewVersion(text)
		rank := Rank(text)
		if (err == nil) != (rank != "") {
			rt.Fatalf("%q: rank %q, and the library says %v", text, rank, err)
		}
		if err != nil {
			return
		}
		again, err := parseRank(rank)
		if err != nil || again.Compare(version) != 0 || rankOf(again) != rank {
			rt.Fatalf("%q has the rank %q, which is of %v, %v", text, rank, again, err)
		}
	})
}

func TestWhatIsNoRankIsRefused(t *testing.T) {
	for _, rank := range []string{"", "0", "2Y9Y9Y9", "0Y9Y9", "0Y9Y9Y9x", "1Y9Y9Y9", "1Y9Y9Y9a", "1Y9Y9Y9b", "0~Y9Y9", "0Z", "0\xff\xff\xff"} {
		if version, err := parseRank(rank); err == nil {
			t.Errorf("%q is of %v", rank, version)
		}
	}
}

func TestWhatATextInPlaceOfAVersionMeans(t *testing.T) {
	for text, want := range map[string]Kind{
		"latest": Latest, "LATEST": Latest, "1.0.0": Literal, "v1": Literal, "1.2-rc.1": Literal, "": Literal, "nightly": Literal,
		"^1.2": Range, "~1.4": Range, "1.x": Range, "1.X": Range, "1.2.*": Range, "*": Range, "x": Range, ">=1.2 <2": Range, "=1.0": Range,
		"!=1": Range, "1.x || 3.x": Range, "1.x-beta": Literal, "1.2 - 1.4": Literal, "max": Literal, "linux": Literal,
	} {
		if got := KindOf(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, malformed := range []string{"^", "~a", ">=1.2 <", "=", "1.x.x.x", strings.Repeat("^1 || ", 100) + "^1", "^1" + strings.Repeat(" ", 1000)} {
		if _, err := ParseRange(malformed); err == nil {
			t.Errorf("%q is a range", malformed)
		}
	}
}
