package pages

import (
	"mime"
	"strconv"
	"strings"
)

// form is how a folder is answered.
type form int

const (
	formList form = iota // HTML that programs walk: every entry, links to entries only
	formPage             // HTML for people
	formJSON
)

// formOf reads the values of Accept (RFC 9110 section 12.5.1). A page is for those that
// prefer text/html to everything that they name, JSON for those that prefer
// application/json itself. Of equals the one that comes first counts. Everybody else gets
// the list, which all clients can read.
func formOf(accept []string) form {
	preferred, best := formList, 0.0
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(element)
		if err != nil || kind == "*/*" {
			continue // What takes anything prefers nothing.
		}
		weight := 1.0
		if q, given := parameters["q"]; given {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if weight <= best {
			continue
		}
		best, preferred = weight, formList
		switch kind {
		case "text/html":
			preferred = formPage
		case "application/json":
			preferred = formJSON
		}
	}
	return preferred
}
