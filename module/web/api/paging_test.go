package api

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

func TestPages(t *testing.T) {
	for _, test := range []struct {
		name, query  string
		number, skip int64
		limit        int
	}{
		{"nothing is said", "", 1, 0, 30},
		{"a page", "page=3&limit=20", 3, 40, 20},
		{"the largest limit", "limit=50", 1, 0, 50},
		{"a limit above the largest", "page=2&limit=51", 2, 50, 50},
		{"zero", "page=0&limit=0", 1, 0, 30},
		{"below zero", "page=-1&limit=-1", 1, 0, 30},
		{"no numbers", "page=x&limit=1.5", 1, 0, 30},
		{"too many digits", "page=99999999999999999999&limit=99999999999999999999", 1, 0, 30},
		{"a page further than can be counted", "page=9223372036854775807&limit=2", math.MaxInt64, math.MaxInt64, 2},
		{"the first of several", "page=2&page=3", 2, 30, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			query, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			if got := pageOf(query); got.number != test.number || got.limit != test.limit || got.skip() != test.skip {
				t.Errorf("got page %+v after %d, want %d of %d after %d", got, got.skip(), test.number, test.limit, test.skip)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	for _, test := range []struct {
		name, query string
		total       int64
		want        string
	}{
		{"nothing", "", 0, ""},
		{"one page", "limit=5", 5, ""},
		{"the first of three", "limit=5&q=a%25", 11, `<L?limit=5&page=2&q=a%25>; rel="next",<L?limit=5&page=3&q=a%25>; rel="last"`},
		{"the second of three", "limit=5&page=2", 11, `<L?limit=5&page=3>; rel="next",<L?limit=5&page=3>; rel="last",<L?limit=5&page=1>; rel="first",<L?limit=5&page=1>; rel="prev"`},
		{"the last of three", "limit=5&page=3", 11, `<L?limit=5&page=1>; rel="first",<L?limit=5&page=2>; rel="prev"`},
		{"after the last of three", "limit=5&page=99", 11, `<L?limit=5&page=1>; rel="first",<L?limit=5&page=2>; rel="prev"`},
		{"words of others are not repeated", "access_token=secret&q=x&page=1", 31, `<L?page=2&q=x>; rel="next",<L?page=2&q=x>; rel="last"`},
		{"a limit above the largest is repeated", "limit=1000", 51, `<L?limit=1000&page=2>; rel="next",<L?limit=1000&page=2>; rel="last"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(http.Header)
			site := new(visit.Site)
			r := httptest.NewRequest(http.MethodGet, "http://example.com/api/v1/packages/o?"+test.query, nil)
			serve := wing(func(_ http.ResponseWriter, r *http.Request, v *visit.Visit) error {
				pageOf(r.URL.Query(), "q", "limit", "page").setTotal(got, r, v, test.total)
				return nil
			})
			site.Serve(httptest.NewRecorder(), r, visit.ParsePath("/"), serve)
			if link := strings.ReplaceAll(got.Get("Link"), "http://example.com/api/v1/packages/o", "L"); link != test.want {
				t.Errorf("got %s, want %s", link, test.want)
			}
		})
	}
}
