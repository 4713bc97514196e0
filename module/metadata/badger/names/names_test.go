package names

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// TestListsAreOfTheirMoment compares lists with a plain account of each commit: for whoever
// sees any of the last commits, an owner has what it had then, or nothing is known.
//
// Seen to fail with changes of later commits, and with a list that is behind what was
// forgotten.
func TestListsAreOfTheirMoment(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lists := new(Lists)
		now := map[string]map[string]Package{"a": {}, "b": {}}
		moments := []map[string]map[string]Package{{"a": {}, "b": {}}}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			owner := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "owner")
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				var changes []Change
				for range rapid.IntRange(0, 3).Draw(rt, "changes") {
					p := Package{fmt.Sprint(rapid.IntRange(0, 4).Draw(rt, "name")), rapid.Uint64Range(1, 9).Draw(rt, "id"), rapid.Uint64Range(0, 2).Draw(rt, "versions")}
					changes = append(changes, Change{owner, p})
					if now[owner][p.Name] = p; p.Versions == 0 {
						delete(now[owner], p.Name)
					}
				}
				lists.Note(uint64(len(moments)), changes)
				moments = append(moments, map[string]map[string]Package{"a": maps.Clone(now["a"]), "b": maps.Clone(now["b"])})
			case 2:
				many := make([]Change, mostChanges/2)
				for i := range many {
					many[i] = Change{"c", Package{"x", 1, 1}}
				}
				lists.Note(uint64(len(moments)), many)
				moments = append(moments, moments[len(moments)-1])
			default:
				seen := max(0, len(moments)-1-rapid.IntRange(0, 2).Draw(rt, "behind"))
				want := moments[seen][owner]
				packages, known := lists.Find(owner, uint64(seen))
				if !known {
					for _, p := range want {
						packages = append(packages, p)
					}
					lists.Keep(owner, uint64(seen), packages)
					continue
				}
				got := make(map[string]Package)
				for _, p := range packages {
					got[p.Name] = p
				}
				if !maps.Equal(got, want) || len(packages) != len(want) {
					rt.Fatalf("after commit %d of %d %s has %v, want %v", seen, len(moments)-1, owner, packages, want)
				}
			}
		}
	})
}

// TestListsAreBounded: what nobody asked for lately is read anew, and so is an owner of too
// many packages.
func TestListsAreBounded(t *testing.T) {
	lists := new(Lists)
	large := make([]Package, MostPackages)
	for i := range large {
		large[i] = Package{fmt.Sprintf("a-package-with-a-name-%d", i), 1, 1}
	}
	for owner := range 50 {
		lists.Keep(fmt.Sprint(owner), 0, large)
		if lists.bytes > mostBytes {
			t.Fatalf("%d owners take %d bytes, want at most %d", owner+1, lists.bytes, mostBytes)
		}
	}
	if _, known := lists.Find("49", 0); !known {
		t.Error("the last owner is not known")
	}
	if _, known := lists.Find("0", 0); known {
		t.Error("the first owner is still known")
	}
	lists.Keep("larger", 0, append(large, Package{"one more", 1, 1}))
	if _, known := lists.Find("larger", 0); known {
		t.Error("an owner of too many packages is known")
	}
	for commit := range 3 * mostChanges {
		lists.Note(uint64(commit+1), []Change{{"49", Package{"x", 1, 1}}})
	}
	if len(lists.changes) > mostChanges {
		t.Errorf("%d changes are remembered, want at most %d", len(lists.changes), mostChanges)
	}
	if _, known := lists.Find("49", 3*mostChanges); known {
		t.Error("an owner is known whose changes were forgotten")
	}
}

// TestAListThatGrows beyond what is kept is told once more, and then read anew.
// Seen to fail with lists that are kept however large they become.
func TestAListThatGrows(t *testing.T) {
	lists := new(Lists)
	packages := make([]Package, MostPackages-1)
	for i := range packages {
		packages[i] = Package{fmt.Sprint(i), 1, 1}
	}
	lists.Keep("o", 0, packages)
	for commit := uint64(1); commit <= 2; commit++ {
		lists.Note(commit, []Change{{"o", Package{fmt.Sprint("more", commit), 1, 1}}})
		found, known := lists.Find("o", commit)
		if want := len(packages) + int(commit); !known || len(found) != want {
			t.Errorf("%d packages, known: %v, want %d", len(found), known, want)
		}
	}
	if found, known := lists.Find("o", 2); known || lists.bytes != 0 {
		t.Errorf("%d packages are known, in %d bytes, want none", len(found), lists.bytes)
	}
}
