package pages

import (
	"testing"
)

func TestFormOf(t *testing.T) {
	for _, test := range []struct {
		name   string
		accept []string
		want   form
	}{
		{"no Accept", nil, formList},
		{"an empty Accept", []string{""}, formList},
		{"curl and wget", []string{"*/*"}, formList},
		{"a browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}, formPage},
		{"pip", []string{"application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"}, formList},
		{"axios", []string{"application/json, text/plain, */*"}, formJSON},
		{"JSON alone", []string{"application/json"}, formJSON},
		{"JSON in capitals", []string{"Application/JSON"}, formJSON},
		{"JSON with a character set", []string{"application/json; charset=utf-8"}, formJSON},
		{"a kind of JSON", []string{"application/problem+json"}, formList},
		{"JSON before HTML", []string{"application/json, text/html"}, formJSON},
		{"HTML before JSON", []string{"text/html, application/json"}, formPage},
		{"JSON liked less than HTML", []string{"application/json;q=0.5, text/html;q=0.6"}, formPage},
		{"HTML liked less than XML", []string{"text/html;q=0.9, application/xml"}, formList},
		{"HTML refused", []string{"text/html;q=0, */*"}, formList},
		{"anything, or HTML", []string{"*/*, text/html;q=0.1"}, formPage},
		{"two lines", []string{"text/plain;q=0.1", "text/html"}, formPage},
		{"a weight that is no number", []string{"text/html;q=high"}, formList},
		{"what is no type", []string{"text html;;;, =,"}, formList},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := formOf(test.accept); got != test.want {
				t.Errorf("formOf(%q) is %v, want %v", test.accept, got, test.want)
			}
		})
	}
}
