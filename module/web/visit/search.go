package visit

import (
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// maxSearch is more than any search has that finds something: each character of a name,
// with any text between them.
const maxSearch = 2*naming.MaxLength + 1

// Search reads what names are searched for, and whether any name can be found. What is too
// long for that is cut.
func Search(text string) (search string, possible bool) {
	text = strings.TrimSpace(text)
	for strings.Contains(text, "%%") { // no more than one
		text = strings.ReplaceAll(text, "%%", "%")
	}
	if len(text) > maxSearch {
		return strings.ToValidUTF8(text[:maxSearch], ""), false
	}
	return text, true
}
