package view

import (
	"html/template"
	"strings"
)

// Rows, and what they consist of, are made here and not by templates: a template takes some
// microseconds for each value, and a page has hundreds. What is not written here becomes
// template.HTML through quoted alone.

// quoted returns a text as an element has it, or an attribute in double quotes.
func quoted(text string) template.HTML { return template.HTML(template.HTMLEscapeString(text)) }

// HTML returns the link as an element a.
func (l Link) HTML() template.HTML {
	return `<a href="` + href(l.URL) + `">` + quoted(l.Text) + `</a>`
}

// href returns a URL, unless a browser would find a scheme in it: URLs of this site are
// relative and have each colon escaped.
func href(url string) template.HTML {
	if strings.Contains(url, ":") {
		return "#"
	}
	return quoted(url)
}

// HTML returns the badges as elements span, each with a space before it.
func (b Badges) HTML() (all template.HTML) {
	for _, badge := range []struct {
		is      bool
		element template.HTML
	}{
		{b.Latest, ` <span class="badge good">latest</span>`},
		{b.PreRelease, ` <span class="badge">pre-release</span>`},
		{b.Draft, ` <span class="badge warn">draft</span>`},
		{b.Private, ` <span class="badge">private</span>`},
		{b.Immutable, ` <span class="badge">immutable</span>`},
	} {
		if badge.is {
			all += badge.element
		}
	}
	return all
}

// element returns an element time that says the moment in some words, and has the minute as
// its title.
func (m Moment) element(text string) template.HTML {
	return `<time datetime="` + quoted(m.Machine()) + `" title="` + quoted(m.Exact()) + `">` + quoted(text) + `</time>`
}

// item is a row of a list.
func item(link Link, badges Badges, note template.HTML) template.HTML {
	if note != "" {
		note = "\n" + `<span class="note">` + note + `</span>`
	}
	return "\n<li>" + link.HTML() + badges.HTML() + note + "</li>"
}

// HTML returns the row as an element li.
func (r OwnerRow) HTML() template.HTML {
	if r.Packages < 0 {
		return item(r.Link, r.Badges, "")
	}
	return item(r.Link, r.Badges, quoted(r.Packages.Of("package", "packages")))
}

// HTML returns the row as an element li.
func (r PackageRow) HTML() template.HTML {
	note := quoted(r.Versions.Of("version", "versions"))
	if r.Newest.URL != "" {
		note += ", newest " + r.Newest.HTML() + ", " + r.Updated.element(r.Updated.Ago())
	}
	return item(r.Link, r.Badges, note)
}

// HTML returns the row as an element li.
func (r VersionRow) HTML() template.HTML {
	note := r.Published.element(r.Published.Date())
	if r.Draft {
		note = "begun " + r.Published.element(r.Published.Ago())
	}
	if r.Publisher != "" {
		note += " by " + quoted(r.Publisher)
	}
	return item(r.Link, r.Badges, note+" · "+quoted(r.Files.Of("file", "files")+", "+r.Size.String()))
}

// HTML returns the row as an element tr, with a cell for each heading of version.html.
func (r FileRow) HTML() template.HTML {
	var kind, by, downloads template.HTML
	if r.Kind != "" {
		kind = ` <span class="badge">` + quoted(r.Kind) + `</span>`
	}
	if r.Publisher != "" {
		by = ` <span class="by">by ` + quoted(r.Publisher) + `</span>`
	}
	if r.Downloads >= 0 {
		count, unit, _ := strings.Cut(r.Downloads.Of("download", "downloads"), " ")
		downloads = "\n" + `<td role="cell" class="number">` + quoted(count) + `<span class="unit"> ` + quoted(unit) + `</span></td>`
	}
	return "\n" + `<tr role="row"><th scope="row" role="rowheader">` + r.Link.HTML() + kind + "\n" +
		`<span class="digest"><span>SHA-256</span> <code>` + quoted(r.SHA256) + `</code> <a href="` + href(r.Get) + `" aria-label="Commands for ` + quoted(r.Text) + `">Commands</a></span></th>` + "\n" +
		`<td role="cell" class="number">` + quoted(r.Size.String()) + `</td>` + "\n" +
		`<td role="cell">` + r.Published.element(r.Published.Date()) + by + `</td>` + downloads + `</tr>`
}
