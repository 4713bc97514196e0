package pages

import (
	"bufio"
	"encoding/json"
	"html"
	"io"
	"strconv"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
)

// entry is one element of a folder, as programs are told of it.
type entry struct {
	name   string
	folder bool
	// size in bytes, of a folder that of all that is in it.
	size int64
	// modified is when it was published, zero where that is not known.
	modified time.Time
	// sha256 in hexadecimal, of a file.
	sha256 string
}

// label is the entry's name, which ends in a slash when it is a folder.
func (e entry) label() string {
	if e.folder {
		return e.name + "/"
	}
	return e.name
}

// url is relative to the folder, in which a colon is escaped so that it ends no scheme.
func (e entry) url() string {
	if e.folder {
		return view.Segment(e.name) + "/"
	}
	return view.Segment(e.name)
}

// lister returns the entries of a folder, a page at a time: those that come after one,
// and what the next page comes after, which is empty when there is none.
type lister func(after string) (entries []entry, next string, err error)

// writer writes the entries of a folder in one form.
type writer struct {
	mediaType string
	begin     func(to *bufio.Writer, title string)
	entry     func(to *bufio.Writer, e entry, first bool)
	end       string
}

var (
	listWriter = writer{"text/html; charset=utf-8", beginList, listEntry, "</pre>\n</body>\n</html>\n"}
	jsonWriter = writer{"application/json; charset=utf-8", func(to *bufio.Writer, _ string) { to.WriteByte('[') }, jsonEntry, "]\n"}
)

// readError is that a page of entries could not be read.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// write writes all entries, of which the first page was read before. A readError is the
// lister's, any other error the connection's.
func (form writer) write(to io.Writer, title string, entries []entry, next string, list lister) error {
	buffered := bufio.NewWriterSize(to, 32<<10)
	form.begin(buffered, title)
	for first := true; ; {
		for _, e := range entries {
			form.entry(buffered, e, first)
			first = false
		}
		if next == "" {
			break
		}
		if err := buffered.Flush(); err != nil {
			return err
		}
		var err error
		if entries, next, err = list(next); err != nil {
			return readError{err}
		}
	}
	buffered.WriteString(form.end)
	return buffered.Flush()
}

func beginList(to *bufio.Writer, title string) {
	title = html.EscapeString(title)
	to.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n<pre>\n")
}

// listEntry writes a line in the form of nginx's lists, of which clients such as lftp read
// the time and the size.
func listEntry(to *bufio.Writer, e entry, _ bool) {
	to.WriteString(`<a href="` + e.url() + `">` + html.EscapeString(e.label()) + "</a> ")
	modified, size := "-", "-"
	if !e.modified.IsZero() {
		modified = e.modified.UTC().Format("02-Jan-2006 15:04")
	}
	if !e.folder {
		size = strconv.FormatInt(e.size, 10)
	}
	to.WriteString(modified + " " + size + "\n")
}

// jsonEntry has the names of Caddy's file_server.
func jsonEntry(to *bufio.Writer, e entry, first bool) {
	if !first {
		to.WriteString(",\n")
	}
	encoded, err := json.Marshal(struct {
		Name     string    `json:"name"`
		Size     int64     `json:"size"`
		URL      string    `json:"url"`
		Modified time.Time `json:"mod_time,omitzero"`
		IsFolder bool      `json:"is_dir"`
		SHA256   string    `json:"sha256,omitempty"`
	}{e.label(), e.size, e.url(), e.modified.UTC(), e.folder, e.sha256})
	if err != nil {
		panic(err) // no value of these types is an error
	}
	to.Write(encoded)
}
