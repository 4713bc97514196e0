package pages

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
)

// wellKnown are the texts that are looked for in every version. Others are shown when they
// are among the rows of a page.
var wellKnown = []string{"README.md", "README", "README.txt", "README.rst", "CHANGELOG.md", "CHANGELOG", "CHANGELOG.txt", "CHANGES.md"}

// texts returns the version's own words, in all at most so many bytes as a page has of
// them: what it is, what changed, and the texts among the rows. What cannot be read is left
// out: the file's own URL says why.
func (q *request) texts(rows []view.FileRow, room int) (texts []view.Text) {
	shown := make(map[string]bool)
	show := func(name string) {
		if room <= 0 || shown[store.Fold(name)] {
			return
		}
		shown[store.Fold(name)] = true
		if text, ok := q.text(name, room*2/3); ok { // the others have the rest
			text.Open = len(texts) == 0
			texts = append(texts, text)
			room -= escapedLength(text.Body)
		}
	}
	for _, name := range wellKnown {
		show(name)
	}
	for _, row := range rows {
		if view.IsText(row.Text) {
			show(row.Text)
		}
	}
	return texts
}

// text reads the beginning of a text.
func (q *request) text(name string, room int) (view.Text, bool) {
	file, content, err := q.open(store.Ref{VersionRef: q.at.VersionRef, File: name})
	if err != nil {
		return view.Text{}, false
	}
	defer content.Close()
	beginning, err := io.ReadAll(io.LimitReader(content, int64(room)))
	if err != nil {
		return view.Text{}, false
	}
	body, cut := fit(beginning, room)
	if !isReadable(body) {
		return view.Text{}, false
	}
	return view.Text{Link: view.Link{Text: file.File, URL: view.Segment(file.File)}, Body: body, Cut: cut || int64(len(beginning)) < file.Size}, true
}

// open finds a file of the version and opens its bytes.
func (q *request) open(ref store.Ref) (store.File, io.ReadCloser, error) {
	if !q.draft {
		return q.reg.Open(q.r.Context(), ref)
	}
	found, err := q.reg.FindDraft(q.r.Context(), ref)
	if err != nil {
		return store.File{}, nil, err
	}
	content, err := found.Open(q.r.Context())
	return found.File, content, err
}

// fit returns as much of the beginning of a text as takes at most so many bytes of a page,
// and ends with a whole character.
func fit(beginning []byte, room int) (text string, cut bool) {
	beginning = bytes.TrimPrefix(beginning, []byte("\ufeff"))
	for i := 0; i < len(beginning); {
		r, size := utf8.DecodeRune(beginning[i:])
		if room -= escapedLength(string(beginning[i : i+size])); room < 0 || r == utf8.RuneError && !utf8.FullRune(beginning[i:]) {
			return string(beginning[:i]), true
		}
		i += size
	}
	return string(beginning), false
}

// escapedLength is how many bytes a text takes in a page.
func escapedLength(text string) int {
	const escaped = len("&#34;")
	special := 0
	for i := range len(text) {
		if strings.IndexByte(`"'&<>+`, text[i]) >= 0 {
			special++
		}
	}
	return len(text) + special*(escaped-1)
}

// isReadable tells whether something is text at all.
func isReadable(text string) bool {
	return text != "" && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}
