package view

import (
	"reflect"
	"strings"
	"testing"
)

// fullPage is a sample with as many rows as a page has, whose texts are as long as usual.
func fullPage(sample any) any {
	page := copyOf(reflect.ValueOf(sample))
	if rows := page.FieldByName("Rows"); rows.IsValid() {
		for rows.Len() < MaxRows {
			rows.Set(reflect.Append(rows, rows.Index(0)))
		}
	}
	fill(page, func() string { return "tool_1.24.0_linux_amd64.tar.gz" })
	if texts := page.FieldByName("Texts"); texts.IsValid() && texts.Len() > 0 {
		texts.Index(0).FieldByName("Body").SetString(strings.Repeat("A line of a text that a version has.\n", 200))
	}
	return page.Interface()
}

// BenchmarkPages is what a page costs once its rows are read, which no number of files in the
// registry changes.
func BenchmarkPages(b *testing.B) {
	templates := mustParse(b)
	for name, sample := range samples {
		b.Run(name, func(b *testing.B) {
			page := fullPage(sample)
			size := 0
			for b.Loop() {
				made, err := templates.Render(name, page)
				if err != nil {
					b.Fatal(err)
				}
				size = len(made)
			}
			b.ReportMetric(float64(size), "B/page")
		})
	}
}
