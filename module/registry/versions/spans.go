package versions

import (
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/Masterminds/semver/v3"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// literal is a version as the text of a range names one: each number may be missing or be
// an x, and a pre-release may follow.
var literal = regexp.MustCompile(`([0-9]+|[xX*])(?:\.([0-9]+|[xX*]))?(?:\.([0-9]+|[xX*]))?` +
	`(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?`)

// Spans are where in the order of a class the versions of the range are, the highest first.
// Outside of them there are none. So the highest version of a range is found without a look
// at those above it.
//
// Whether a version is in a range changes only at the versions that the text names, and at
// the numbers after theirs: the versions between two of these are all in the range, or none
// is. An exception is what a text excludes from pre-releases, which is looked for in all.
func (s Selected) Spans(class string) iter.Seq[store.RankSpan] {
	return func(yield func(store.RankSpan) bool) {
		if class == Unstable && s.excludes {
			yield(store.RankSpan{From: Unstable})
			return
		}
		var span store.RankSpan
		from := class
		for _, end := range s.ends(class) {
			to := afterRank(end)
			if s.Has(end) {
				if span.To == "" {
					span.From = from
				}
				span.To = to
			} else if span.To != "" {
				if !yield(span) {
					return
				}
				span = store.RankSpan{}
			}
			from = to
		}
		if span.To != "" {
			yield(span)
		}
	}
}

// afterRank comes after a rank and before the next one: no rank is the beginning of another.
func afterRank(rank string) string { return rank + " " }

// ends are ranks at which the range may begin or end, the highest first, the last one that
// of the lowest version there can be.
func (s Selected) ends(class string) []string {
	ends := make(map[string]struct{})
	add := func(major, minor, patch uint64, pre string) {
		ends[rankOf(semver.New(major, minor, patch, pre, ""))] = struct{}{}
	}
	lowest := "" // of the pre-releases of a number
	if class == Unstable {
		lowest = "0"
	}
	for _, named := range append(literal.FindAllStringSubmatch(s.text, -1), literal.FindStringSubmatch("0")) {
		major, minor, patch := numbersOf(named[1:4])
		add(major, 0, 0, lowest)
		add(major, minor, 0, lowest)
		add(major, minor, patch, lowest)
		add(major, minor, patch+1, lowest)
		add(major, minor+1, 0, lowest)
		add(major+1, 0, 0, lowest)
		if pre := named[4]; pre != "" && class == Unstable {
			add(major, minor, patch, pre)
			add(major, minor, patch, pre+".0") // the next one
		}
	}
	return slices.Sorted(maps.Keys(ends))
}

// numbersOf reads major, minor and patch. What follows a number that is missing counts as
// missing too.
func numbersOf(texts []string) (major, minor, patch uint64) {
	var numbers [3]uint64
	for i, text := range texts {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			break
		}
		numbers[i] = number
	}
	return numbers[0], numbers[1], numbers[2]
}
