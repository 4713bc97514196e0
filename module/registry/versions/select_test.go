package versions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// drawn is a version as a user would look at it.
type drawn struct {
	text  string
	at    time.Time
	value *semver.Version // nil when the library says that it is none
}

// newer sorts by time, of one time what came later first.
func newest(set []drawn) (best drawn) {
	for _, v := range set {
		if best.text == "" || !v.at.Before(best.at) {
			best = v
		}
	}
	return best
}

// highestOf returns the newest of the highest, by the library alone.
func highestOf(set []drawn) drawn {
	if len(set) == 0 {
		return drawn{}
	}
	highest := slices.MaxFunc(set, func(a, b drawn) int { return a.value.Compare(b.value) })
	return newest(slices.DeleteFunc(slices.Clone(set), func(v drawn) bool { return v.value.Compare(highest.value) != 0 }))
}

// wanted is what a text means, by the library alone.
func wanted(set []drawn, text string) string {
	semantic := slices.DeleteFunc(slices.Clone(set), func(v drawn) bool { return v.value == nil })
	if text == "latest" {
		if len(semantic) == 0 {
			return newest(set).text
		}
		return highestOf(slices.DeleteFunc(semantic, func(v drawn) bool { return v.value.Prerelease() != "" })).text
	}
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return ""
	}
	return highestOf(slices.DeleteFunc(semantic, func(v drawn) bool { return !constraint.Check(v.value) })).text
}

var (
	drawText = rapid.OneOf(
		rapid.StringMatching(`v?[0-3](\.[0-3]){0,2}(-(rc|a|0|1|10|B)(\.[0-3])?)?(\+[ab])?`),
		rapid.SampledFrom([]string{"nightly", "2026.11", "1.2.3.4", "main", "1.0-x_y", "V1.0", "01.2.3"}),
	)
	drawWanted = rapid.OneOf(
		rapid.Just("latest"),
		rapid.StringMatching(`[~^=><]=?v?[0-3](\.[0-3x]){0,2}(-(rc|a|0))?( <[1-3](\.[0-3])?(-0)?)?( \|\| [~^=]?[0-3](-a)?)?`),
		rapid.StringMatching(`[0-3]\.([0-3]\.)?[xX*]`),
		rapid.SampledFrom([]string{"*", "x", ">=0.0.0-0", "^0", "!=1.0", "=1.0", "=1.0+a", "1.x - 2.x", ">=1 <", "^"}),
	)
)

// TestSelectAgreesWithTheLibrary was seen to fail with pre-releases before stable versions
// of another number, with the oldest of equal versions, and with a range that looks at
// stable versions only.
func TestSelectAgreesWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		metadata, err := memory.NewMetadata().Open()
		if err != nil {
			rt.Fatal(err)
		}
		set := drawVersions(rt, metadata)
		for range 4 {
			text := drawWanted.Draw(rt, "wanted")
			got, err := versions.Select(context.Background(), metadata, store.VersionRef{Owner: "O", Package: "P", Version: text})
			if err != nil && !errors.Is(err, store.ErrPackageNotFound) {
				rt.Fatal(err)
			}
			if want := wanted(set, text); got.Version != want {
				rt.Fatalf("%s of %s: %q, want %q (%v)", text, texts(set), got.Version, want, err)
			}
		}
	})
}

func texts(set []drawn) (all []string) {
	for _, v := range set {
		all = append(all, fmt.Sprintf("%s at %d", v.text, v.at.Unix()))
	}
	return all
}

// drawVersions publishes versions, some at one time.
func drawVersions(rt *rapid.T, metadata store.MetadataStore) (set []drawn) {
	known := make(map[string]bool)
	for i, text := range rapid.SliceOfN(drawText, 0, 12).Draw(rt, "versions") {
		if known[store.Fold(text)] {
			continue
		}
		known[store.Fold(text)] = true
		value, err := semver.NewVersion(text)
		if err != nil {
			value = nil
		}
		v := drawn{text, time.Unix(rapid.Int64Range(0, 3).Draw(rt, "time"), 0), value}
		_, _, err = metadata.Publish(context.Background(), store.Publication{
			Ref:    store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: text}, File: "f"},
			Blob:   store.Blob{Locator: store.NewLocator(uint64(i)), Digest: store.Digest{byte(i)}, Size: 1},
			Stored: metadata.Clock(), Created: v.at, Rank: versions.Rank(text),
		})
		if err != nil {
			rt.Fatal(err)
		}
		set = append(set, v)
	}
	return set
}

func TestLatestOfPreReleasesNamesTheNewestVersion(t *testing.T) {
	metadata, err := memory.NewMetadata().Open()
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"2.0-rc.1", "1.0-rc.1"} {
		_, _, err := metadata.Publish(context.Background(), store.Publication{
			Ref:    store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: text}, File: "f"},
			Blob:   store.Blob{Locator: store.NewLocator(uint64(i)), Digest: store.Digest{byte(i)}, Size: 1},
			Stored: metadata.Clock(), Created: time.Unix(int64(i), 0), Rank: versions.Rank(text),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = versions.Select(context.Background(), metadata, store.VersionRef{Owner: "o", Package: "p", Version: "latest"})
	var unstable *versions.UnstableError
	if !errors.As(err, &unstable) || unstable.Newest.Version != "1.0-rc.1" || !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("error is %v, want one that names 1.0-rc.1", err)
	}
}
