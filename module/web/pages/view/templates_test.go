package view

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// mustParse returns the embedded templates.
func mustParse(tb testing.TB) *Templates {
	tb.Helper()
	templates, err := Parse("")
	if err != nil {
		tb.Fatal(err)
	}
	return templates
}

// skeleton is what a browser makes of a page without its words: elements, and the names
// of their attributes. The values of some attributes are part of it.
func skeleton(tb testing.TB, page []byte) []string {
	tb.Helper()
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		tb.Fatal(err)
	}
	var bones []string
	for node := range root.Descendants() {
		if node.Type == html.CommentNode {
			bones = append(bones, "comment "+node.Data)
		}
		if node.Type != html.ElementNode {
			continue
		}
		bone := node.Data
		for _, attribute := range node.Attr {
			bone += " " + attribute.Key
			switch attribute.Key {
			case "class", "nonce", "style", "action", "method", "type":
				bone += "=" + attribute.Val
			}
		}
		if node.Data == "style" || node.Data == "script" {
			bone += " " + node.FirstChild.Data
		}
		bones = append(bones, bone)
	}
	return bones
}

// links returns the values of href and src.
func links(tb testing.TB, page []byte) (all []string) {
	tb.Helper()
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		tb.Fatal(err)
	}
	for node := range root.Descendants() {
		for _, attribute := range node.Attr {
			if (attribute.Key == "href" || attribute.Key == "src") && !strings.HasPrefix(attribute.Val, "data:image/svg+xml,") {
				all = append(all, attribute.Val)
			}
		}
	}
	return all
}

// hostile are pieces that mean something to a browser in some place of a page.
var hostile = []string{
	`<script>run()</script>`, `"><img src=x onerror=run()>`, `'><svg onload=run()>`, "javascript:run()", "data:text/html,<script>run()</script>",
	`</title><script>run()</script>`, `</style><script>run()</script>`, `</script><script>run()</script>`, `<!--`, `-->`, `]]>`, `<![CDATA[`,
	`" autofocus onfocus=run() "`, "`${run()}`", `{{.Nonce}}`, `{{template "script.js"}}`, `\u003cscript\u003e`, `&lt;script&gt;`, `&#x3c;script&#x3e;`,
	"%3Cscript%3Erun()%3C/script%3E", "//evil.example", `\\evil.example`, "https://evil.example/", "?after=", "#get", "../../..", ":", ";", "=", " ", "é", "界",
	"\u202e", "\u2028", "\ufeff", "+", "%", "%2F", "%00", "'", `"`, "<", ">", "&", "/", "\\",
}

// fill sets every text of a page to one that differs each time, but for those of its
// frame that the server makes.
func fill(value reflect.Value, text func() string) {
	switch value.Kind() {
	case reflect.String:
		if value.String() != "" { // what is empty changes what a page has
			value.SetString(text())
		}
	case reflect.Slice:
		for i := range value.Len() {
			fill(value.Index(i), text)
		}
	case reflect.Pointer:
		if !value.IsNil() {
			fill(value.Elem(), text)
		}
	case reflect.Struct:
		for i := range value.NumField() {
			field := value.Type().Field(i)
			if field.IsExported() && field.Name != "Nonce" {
				fill(value.Field(i), text)
			}
		}
	}
}

// copyOf returns a page that shares no slice and no pointer with a sample.
func copyOf(sample reflect.Value) reflect.Value {
	made := reflect.New(sample.Type()).Elem()
	made.Set(sample)
	switch made.Kind() {
	case reflect.Slice:
		made.Set(reflect.MakeSlice(sample.Type(), sample.Len(), sample.Len()))
		for i := range sample.Len() {
			made.Index(i).Set(copyOf(sample.Index(i)))
		}
	case reflect.Pointer:
		if !sample.IsNil() {
			made.Set(reflect.New(sample.Type().Elem()))
			made.Elem().Set(copyOf(sample.Elem()))
		}
	case reflect.Struct:
		for i := range made.NumField() {
			if made.Type().Field(i).IsExported() {
				made.Field(i).Set(copyOf(sample.Field(i)))
			}
		}
	}
	return made
}

// TestNoNameChangesWhatAPageIs holds that names change the words of a page and nothing
// else. Seen to fail with text/template in place of html/template, with rows whose texts are
// not escaped, and with links that may have a scheme.
func TestNoNameChangesWhatAPageIs(t *testing.T) {
	templates := mustParse(t)
	random := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var text strings.Builder
		for range 1 + random.IntN(4) {
			text.WriteString(hostile[random.IntN(len(hostile))])
		}
		return text.String()
	}
	for page, sample := range samples {
		t.Run(page, func(t *testing.T) {
			made, err := templates.Render(page, sample)
			if err != nil {
				t.Fatal(err)
			}
			want := skeleton(t, made)
			for range 100 {
				filled := copyOf(reflect.ValueOf(sample))
				fill(filled, name)
				made, err := templates.Render(page, filled.Interface())
				if err != nil {
					t.Fatal(err)
				}
				if got := skeleton(t, made); !slices.Equal(got, want) {
					t.Fatalf("the page is\n%s\nwant\n%s\nfor %+v", strings.Join(got, "\n"), strings.Join(want, "\n"), filled)
				}
				for _, link := range links(t, made) {
					if strings.HasPrefix(strings.ToLower(strings.TrimSpace(link)), "javascript:") || strings.HasPrefix(link, "data:") {
						t.Fatalf("a link leads to %q", link)
					}
				}
			}
		})
	}
}

func TestStylesAndScriptsHaveTheNonce(t *testing.T) {
	templates := mustParse(t)
	for page, sample := range samples {
		made, err := templates.Render(page, sample)
		if err != nil {
			t.Fatal(err)
		}
		for _, bone := range skeleton(t, made) {
			element, _, _ := strings.Cut(bone, " ")
			if (element == "style" || element == "script") && !strings.HasPrefix(bone, element+" nonce=nonce ") {
				t.Errorf("%s has %q, want the page's nonce", page, bone)
			}
			if attributes, _, _ := strings.Cut(bone, "\n"); strings.Contains(attributes, " style=") || strings.Contains(attributes, " on") {
				t.Errorf("%s has %q, which the policy refuses", page, bone)
			}
		}
	}
}

func TestParseFolder(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // part of the error, empty for none
	}{
		{"of one template in place of the embedded one", map[string]string{"failure.html": "my own: {{.Reason}}"}, ""},
		{"of another style", map[string]string{"style.css": "body { color: red }"}, ""},
		{"beside files of other names", map[string]string{"failure.html": "mine", "notes.txt": "{{"}, ""},
		{"of none that is known", map[string]string{"index.html": "x"}, "leave the folder out for the built-in pages"},
		{"that is not there", nil, "reading the template folder"},
		{"with a template that does not end", map[string]string{"owners.html": "{{if .Rows}}"}, `owners.html:1: unexpected EOF`},
		{"with a field that no page has", map[string]string{"owners.html": "line\n{{.Surname}}"}, `owners.html:2:2`},
		{"with a template that is not there", map[string]string{"owners.html": `{{template "bottom"}}{{template "left"}}`}, `"left"`},
		{"that reads a file", map[string]string{"owners.html": `{{readFile "/etc/passwd"}}`}, `function "readFile" not defined`},
		{"that reads the environment", map[string]string{"owners.html": `{{env "HOME"}}`}, `function "env" not defined`},
		{"that asks another server", map[string]string{"owners.html": `{{httpInclude "/"}}`}, `function "httpInclude" not defined`},
		{"with a name in a place where it cannot be escaped", map[string]string{"owners.html": `<a href="{{if .Title}}x">{{end}}`}, `owners.html`},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "templates")
			if test.files != nil {
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			templates, err := Parse(folder)
			if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && !strings.Contains(got, test.want) {
				t.Fatalf("error is %v, want one that contains %q", err, test.want)
			}
			if text, overridden := test.files["failure.html"]; overridden {
				made, err := templates.Render("failure.html", Failure{Reason: "a <reason>"})
				want := strings.Replace(text, "{{.Reason}}", "a &lt;reason&gt;", 1)
				if err != nil || string(made) != want {
					t.Errorf("the page is %q (%v), want %q", made, err, want)
				}
			}
		})
	}
}
