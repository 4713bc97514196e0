package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

const (
	defaultPage = 30
	largestPage = 50
)

// listHeaders are those of lists.
var listHeaders = []string{"x-total-count", "link"}

// listsOfAll are cases that list all that alice has. Gitea counted versions too that are
// refused here: what is stored by then is expected.
var listsOfAll = map[int]int{627: defaultPage, 628: defaultPage, 633: defaultPage, 639: largestPage} // with the sizes of their pages

// compareLists compares what the JSON API says: its type, how many entries there are, where
// other pages are, and the order of the keys.
func (r *replayer) compareLists(t *testing.T, c recorded, got answer) (differences []string) {
	t.Helper()
	wanted := func(name string) string {
		return strings.ReplaceAll(c.wants(name), "127.0.0.1:3300", fmt.Sprintf("127.0.0.1:%d", r.server.port))
	}
	const mediaType = "application/json;charset=utf-8"
	if wanted("content-type") != mediaType {
		return nil
	}
	differ := func(format string, arguments ...any) {
		differences = append(differences, fmt.Sprintf(format, arguments...))
	}
	if got := got.header.Get("Content-Type"); got != mediaType {
		differ("Content-Type %q, want %q", got, mediaType)
	}
	r.answers++
	for _, name := range listHeaders {
		if c.wants(name) != "" {
			r.lists[name]++
		}
	}
	total, link := wanted("x-total-count"), wanted("link")
	if size, all := listsOfAll[c.N]; all {
		count := r.versions("alice")
		if count <= defaultPage {
			t.Errorf("#%d: %d versions are stored, which are no two pages", c.N, count)
		}
		total, link = strconv.Itoa(count), toLastPage(link, (count+size-1)/size)
	}
	if got := got.header.Get("X-Total-Count"); got != total {
		differ("X-Total-Count %q, want %q", got, total)
	}
	if got := got.header.Get("Link"); got != link {
		differ("Link %q, want %q", got, link)
	}
	if want := c.keys(t); !strings.HasPrefix(keysOf(t, got.body), want) {
		differ("keys %s, want %s", keysOf(t, got.body), want)
	}
	return differences
}

// toLastPage is the recorded Link of a first page whose list ends with another page.
func toLastPage(link string, last int) string {
	if last == 1 {
		return ""
	}
	links := strings.Split(link, ",")
	for i := range links {
		if strings.HasSuffix(links[i], `rel="last"`) {
			links[i] = strings.Replace(links[i], "page=3", fmt.Sprintf("page=%d", last), 1)
		}
	}
	return strings.Join(links, ",")
}

// keys are those of Gitea's answer: each element of a list has them.
func (c recorded) keys(t *testing.T) string {
	t.Helper()
	if c.Want.Status != http.StatusOK {
		return "{message url}"
	}
	name, isList := "api-version", c.Want.Headers["x-total-count"] != nil
	if strings.HasSuffix(c.Path, "/files") {
		name, isList = "api-files", false
	}
	content, err := os.ReadFile("testdata/conformance/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t, content)
	if isList && c.Want.Headers["x-total-count"] == "0" || strings.Contains(c.Path, "page=99") {
		return "[]"
	}
	if isList {
		return "[" + keys
	}
	return strings.TrimSuffix(keys, "]")
}

// keysOf are the keys of a JSON text in their order, such as [{id owner{id login} name}].
func keysOf(t *testing.T, text []byte) string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	var keys strings.Builder
	if err := writeKeys(decoder, &keys); err != nil {
		t.Errorf("%v in %.200s", err, text)
	}
	return keys.String()
}

func writeKeys(decoder *json.Decoder, keys *strings.Builder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	open, isDelimiter := token.(json.Delim)
	if !isDelimiter {
		return nil
	}
	keys.WriteString(open.String())
	for i := 0; decoder.More(); i++ {
		if open == '{' {
			key, err := decoder.Token()
			if err != nil {
				return err
			}
			fmt.Fprintf(keys, "%s%s", strings.Repeat(" ", min(i, 1)), key)
		}
		if err := writeKeys(decoder, keys); err != nil {
			return err
		}
	}
	end, err := decoder.Token()
	if err == nil {
		keys.WriteString(end.(json.Delim).String())
	}
	return err
}
