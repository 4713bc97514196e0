package visit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestErrorRoutesGetPlainTexts, whatever is refused. The texts that wings share need none left
// out, so people read them whole.
//
// Seen to fail with an apostrophe in the text of ErrScope, and for a path in braces with a text
// that is given as it is.
func TestErrorRoutesGetPlainTexts(t *testing.T) {
	whole := []error{ErrUnauthenticated, ErrForbidden, ErrScope, ErrCrossSite, MethodNotAllowed("GET")}
	for _, s := range statuses {
		whole = append(whole, s.err)
	}
	for _, err := range whole {
		_, text, _ := statusOf(err)
		for given, cause := range map[string]error{text: err, "of <b>": Tell(Tell(err, "of {x}"), "of <b>")} {
			if got := plain(given, cause); got != text || strings.ContainsAny(got, markup) {
				t.Errorf("of %q is left %q, want %q", given, got, text)
			}
		}
	}
	path := Refuse(http.StatusNotFound, "a file is at {owner}/generic, 'so' it & <all> say \"`\"")
	if got, want := plain(fmt.Sprint(path), path), "a file is at owner/generic, so it  all say "; got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
