// Package versions says which version a text in place of a version means: latest, or a
// range of semantic versions. Masterminds/semver, which Helm and others use, decides what
// is a semantic version, how two compare, and which versions are in a range.
package versions

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// A rank is a semantic version as a text. Texts in the order of their bytes are versions
// from the highest on: first all that are stable, then all pre-releases. Versions that
// compare as equal have one rank. No rank is the beginning of another.
//
//	class     Stable or Unstable
//	numbers   major, minor, patch: each its length and its digits, all counted down
//	parts     of a pre-release: a number after a text, and its end after both
const (
	// Stable is what the ranks of stable versions begin with.
	Stable = "0"
	// Unstable is what the ranks of pre-releases begin with.
	Unstable = "1"

	partText   = 'a'
	partNumber = 'b'
	partsEnd   = 'c'
	textEnd    = '~' // after every character that is counted down

	lengthFrom    = 'Z'       // what a length is taken from
	digitFrom     = '0' + '9' // what a digit is taken from
	characterFrom = ' ' + '~' // what a character is taken from
)

// Rank returns the rank of a version, empty for one that is no semantic version.
func Rank(version string) string {
	v, err := semver.StrictNewVersion(version) // most are, and it has no regular expression
	if err != nil {
		v, err = semver.NewVersion(version)
	}
	if err != nil {
		return ""
	}
	return rankOf(v)
}

func rankOf(v *semver.Version) string {
	rank := []byte(Stable)
	if v.Prerelease() != "" {
		rank = []byte(Unstable)
	}
	for _, number := range []uint64{v.Major(), v.Minor(), v.Patch()} {
		rank = appendNumber(rank, number)
	}
	if v.Prerelease() == "" {
		return string(rank)
	}
	for part := range strings.SplitSeq(v.Prerelease(), ".") {
		// A number that is too large for the library is a text to it.
		if number, err := strconv.ParseUint(part, 10, 64); err == nil {
			rank = appendNumber(append(rank, partNumber), number)
			continue
		}
		rank = append(rank, partText)
		for i := range len(part) {
			rank = append(rank, characterFrom-part[i])
		}
		rank = append(rank, textEnd)
	}
	return string(append(rank, partsEnd))
}

func appendNumber(rank []byte, number uint64) []byte {
	digits := strconv.FormatUint(number, 10)
	rank = append(rank, lengthFrom-byte(len(digits)))
	for i := range len(digits) {
		rank = append(rank, digitFrom-digits[i])
	}
	return rank
}

// parseRank returns a version that has the rank.
func parseRank(rank string) (*semver.Version, error) {
	r := rankReader{rest: rank}
	class := r.take(1)
	numbers := [3]uint64{r.number(), r.number(), r.number()}
	var parts []string
	for class == Unstable && !r.bad {
		kind := r.take(1)
		if kind == string(partsEnd) {
			break
		}
		if kind == string(partNumber) {
			parts = append(parts, strconv.FormatUint(r.number(), 10))
			continue
		}
		parts = append(parts, r.text())
	}
	if r.bad || r.rest != "" || class != Stable && class != Unstable {
		return nil, fmt.Errorf("%q is no rank", rank)
	}
	return semver.New(numbers[0], numbers[1], numbers[2], strings.Join(parts, "."), ""), nil
}

// rankReader takes a rank apart from its front.
type rankReader struct {
	rest string
	bad  bool
}

func (r *rankReader) take(length int) string {
	if length < 0 || length > len(r.rest) {
		r.bad, r.rest = true, ""
		return ""
	}
	taken := r.rest[:length]
	r.rest = r.rest[length:]
	return taken
}

func (r *rankReader) number() uint64 {
	length := r.take(1)
	if r.bad {
		return 0
	}
	number, err := strconv.ParseUint(countedDown(r.take(lengthFrom-int(length[0])), digitFrom), 10, 64)
	r.bad = r.bad || err != nil
	return number
}

func (r *rankReader) text() string {
	end := strings.IndexByte(r.rest, textEnd)
	text := countedDown(r.take(end), characterFrom)
	r.take(1)
	return text
}

func countedDown(text string, from byte) string {
	counted := []byte(text)
	for i := range counted {
		counted[i] = from - counted[i]
	}
	return string(counted)
}
