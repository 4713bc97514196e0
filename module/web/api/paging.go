package api

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// How many entries a page has, as in Gitea.
const (
	defaultLimit = 30
	maxLimit     = 50
)

// page is a page of a list by its number, which begins at 1.
type page struct {
	number int64
	limit  int
	words  []string // of the list's query
}

// pageOf reads which page a query asks for, of a list whose query takes some words. What is
// no number, or none of a page, is the default.
func pageOf(query url.Values, words ...string) page {
	number, err := strconv.ParseInt(query.Get("page"), 10, 64)
	if err != nil || number < 1 {
		number = 1
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 {
		limit = defaultLimit
	}
	return page{number, min(limit, maxLimit), words}
}

// skip is how many entries come before the page.
func (p page) skip() int64 {
	if before := p.number - 1; before < math.MaxInt64/int64(p.limit) {
		return before * int64(p.limit)
	}
	return math.MaxInt64
}

// setTotal says how many entries there are on all pages, and where other pages are (RFC
// 8288). As in Gitea a page after the last counts as the last, and the keys of the query
// are sorted. Only those of the list's own words are repeated: a query may have secrets.
func (p page) setTotal(header http.Header, r *http.Request, v *visit.Visit, total int64) {
	header.Set("X-Total-Count", strconv.FormatInt(total, 10))
	last := max(1, (total+int64(p.limit)-1)/int64(p.limit))
	current := min(p.number, last)
	asked, said := r.URL.Query(), make(url.Values)
	for _, word := range p.words {
		if asked.Has(word) {
			said.Set(word, asked.Get(word))
		}
	}
	base := v.Base() + r.URL.EscapedPath()
	var links []string
	add := func(relation string, number int64) {
		said.Set("page", strconv.FormatInt(number, 10))
		links = append(links, fmt.Sprintf(`<%s?%s>; rel="%s"`, base, said.Encode(), relation))
	}
	if current < last {
		add("next", current+1)
		add("last", last)
	}
	if current > 1 {
		add("first", 1)
		add("prev", current-1)
	}
	if len(links) > 0 {
		header.Set("Link", strings.Join(links, ","))
	}
}
