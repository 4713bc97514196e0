package access

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// GroupsOf returns the groups that the value of a placeholder names, by the placeholder's key.
func GroupsOf(key string, value any) []string { return splitGroups(value, isOfAuthentication(key)) }

// splitGroups reads a list of groups: a list, or a text in which commas stand between
// them. A text without a comma is one group, because names of groups have spaces;
// only an authentication handler's own text, of which some write white space between
// roles, is split there then. A backslash keeps the character after it, as in the
// distinguished names of certificates (RFC 4514 section 2.4). A group that would be
// taken for another one is left out.
func splitGroups(value any, spaced bool) (groups []string) {
	switch list := value.(type) {
	case []string:
		groups = slices.Clone(list)
	case []any:
		for _, element := range list {
			groups = append(groups, fmt.Sprint(element))
		}
	case string:
		separated := false
		groups = fieldsOf(list, func(r rune) bool {
			separated = separated || r == ','
			return r == ','
		})
		if spaced && !separated {
			groups = fieldsOf(list, unicode.IsSpace)
		}
	}
	return slices.DeleteFunc(groups, store.FoldsIntoASCII)
}

// fieldsOf splits a text where a separator is not escaped, and drops white space
// around the parts, and parts of nothing else.
func fieldsOf(text string, separates func(rune) bool) (fields []string) {
	escaped := false
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool {
		if escaped {
			escaped = false
			return false
		}
		escaped = r == '\\'
		return separates(r)
	}) {
		if field = strings.TrimSpace(field); field != "" {
			fields = append(fields, field)
		}
	}
	return fields
}
