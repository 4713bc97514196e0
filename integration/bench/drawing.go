package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// drawing is an SVG image in progress.
type drawing struct{ strings.Builder }

const chartStyle = `
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px; fill: #1f2328 }
.title { font-size: 18px; font-weight: 600 }
.panel { font-size: 14px; font-weight: 600 }
.with, .tick { fill: #59636e; font-size: 11px }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.one { stroke: #59636e; stroke-width: 1.5 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.target { stroke: #cf222e; stroke-width: 2.5 }
.ahead { fill: #54aeff }
.behind { fill: #fb8f44 }
@media (prefers-color-scheme: dark) {
	text { fill: #f0f6fc }
	.with, .tick { fill: #9198a1 }
	.grid { stroke: #3d444d }
	.one { stroke: #9198a1 }
	.spread { stroke: #f0f6fc }
	.target { stroke: #ff7b72 }
	.ahead { fill: #1f6feb }
	.behind { fill: #bd561d }
}
`

// document is the whole image, of a height. It has no background, so it takes that of
// the page.
func (d *drawing) document(height float64) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]g" width="%[1]d" height="%[2]g" role="img">
<title>How fast this Caddy is, in ratios to others</title>
<style>%[3]s</style>
%[4]s</svg>
`, chartWidth, height, chartStyle, d)
}

// text is a line of text whose anchor, "" for start, is at x.
func (d *drawing) text(x, y float64, class, anchor, text string) {
	if anchor == "" {
		anchor = "start"
	}
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">`, x, y, class, anchor)
	_ = xml.EscapeText(d, []byte(text)) // a builder takes everything
	d.WriteString("</text>\n")
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (d *drawing) rect(x, y, width, height float64, class string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="%s"/>`+"\n", x, y, width, height, class)
}
