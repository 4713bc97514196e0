package naming

import (
	"fmt"
	"path"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Pattern selects names, without regard to case: "*" stands for any number of
// characters, "?" for one, and "[a-z]" for one of those. A backslash takes the
// meaning from the character after it.
type Pattern struct{ written, folded string }

// ParsePattern reports a pattern that is empty or malformed.
func ParsePattern(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, fmt.Errorf("empty pattern")
	}
	if _, err := path.Match(text, ""); err != nil {
		return Pattern{}, fmt.Errorf("pattern %q: %w", text, err)
	}
	return Pattern{written: text, folded: store.Fold(text)}, nil
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.written }

// Matches tells whether the pattern selects a name. A "/" in a name is a
// character like any other.
func (p Pattern) Matches(name string) bool {
	if p.IsAll() {
		return true
	}
	// path.Match stops its stars at slashes, which only versions have.
	const stand = "\x00"
	matched, err := path.Match(strings.ReplaceAll(p.folded, "/", stand), strings.ReplaceAll(store.Fold(name), "/", stand))
	return err == nil && matched
}

// IsAll tells whether the pattern is "*", which selects every name.
func (p Pattern) IsAll() bool { return p.folded == "*" }

// isLiteral tells whether only one name can match.
func (p Pattern) isLiteral() bool { return !strings.ContainsAny(p.folded, `*?[\`) }

// MatchesSome tells whether some name that is valid could match, as far as that
// can be seen at the literal parts of the pattern.
func (p Pattern) MatchesSome(valid func(name string) bool) bool {
	if p.isLiteral() {
		return valid(p.folded)
	}
	if strings.ContainsAny(p.folded, `[\`) {
		return true
	}
	return valid(strings.NewReplacer("*", "aa", "?", "a").Replace(p.folded))
}

// Covers tells whether every name that other selects is this one's too, as far as
// that can be seen at once: an equal pattern, one name, or a common beginning.
func (p Pattern) Covers(other Pattern) bool {
	if p.folded == other.folded || other.isLiteral() && p.Matches(other.folded) {
		return true
	}
	beginning, found := strings.CutSuffix(p.folded, "*")
	return found && Pattern{folded: beginning}.isLiteral() && strings.HasPrefix(other.folded, beginning)
}

// ParsePatterns parses each of some texts. The error is the first one's.
func ParsePatterns(texts []string) (patterns []Pattern, err error) {
	for _, text := range texts {
		pattern, err := ParsePattern(text)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// Texts returns what ParsePatterns parses.
func Texts(patterns []Pattern) (texts []string) {
	for _, pattern := range patterns {
		texts = append(texts, pattern.String())
	}
	return texts
}
