package pages

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// twoPages lists three entries on two pages.
func twoPages(after string) ([]entry, string, error) {
	if after == "" {
		return []entry{
			{name: "tool", folder: true, size: 7, modified: time.Date(2026, 11, 28, 16, 10, 5, 0, time.UTC)},
			{name: `a: "b" <c>&`, folder: true},
		}, "there", nil
	}
	return []entry{{name: "f%20.bin", size: 5, sha256: "00ff", modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}, "", nil
}

func TestListsHaveEveryEntry(t *testing.T) {
	for _, test := range []struct {
		name string
		form writer
		want string
	}{
		{"the plain list", listWriter, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>a &lt;title&gt;</title>
</head>
<body>
<h1>a &lt;title&gt;</h1>
<pre>
<a href="tool/">tool/</a> 28-Nov-2026 16:10 -
<a href="a%3A%20%22b%22%20%3Cc%3E%26/">a: &#34;b&#34; &lt;c&gt;&amp;/</a> - -
<a href="f%2520.bin">f%20.bin</a> 02-Jan-2026 03:04 5
</pre>
</body>
</html>
`},
		{"JSON", jsonWriter, `[{"name":"tool/","size":7,"url":"tool/","mod_time":"2026-11-28T16:10:05Z","is_dir":true},
{"name":"a: \"b\" \u003cc\u003e\u0026/","size":0,"url":"a%3A%20%22b%22%20%3Cc%3E%26/","is_dir":true},
{"name":"f%20.bin","size":5,"url":"f%2520.bin","mod_time":"2026-01-02T03:04:05Z","is_dir":false,"sha256":"00ff"}]
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got bytes.Buffer
			entries, next, _ := twoPages("")
			if err := test.form.write(&got, "a <title>", entries, next, twoPages); err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), test.want)
			}
		})
	}
}

func TestAnEmptyFolderIsAnEmptyArray(t *testing.T) {
	var got bytes.Buffer
	if err := jsonWriter.write(&got, "", nil, "", nil); err != nil {
		t.Fatal(err)
	}
	var entries []any
	if err := json.Unmarshal(got.Bytes(), &entries); err != nil || entries == nil || len(entries) != 0 {
		t.Errorf("got %q (%v), want an empty array", got.String(), err)
	}
}

func TestAListThatCannotBeReadHasNoEnd(t *testing.T) {
	broken := errors.New("broken")
	var got bytes.Buffer
	err := listWriter.write(&got, "", []entry{{name: "a"}}, "more", func(string) ([]entry, string, error) { return nil, "", broken })
	if read := (readError{}); !errors.As(err, &read) || !errors.Is(err, broken) {
		t.Errorf("the error is %v, want a readError of %v", err, broken)
	}
	if strings.Contains(got.String(), "</html>") {
		t.Error("the list ends as if it were whole")
	}
}
