package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// recorded is one request with the answer that Gitea gave.
type recorded struct {
	N             int
	Group, Case   string
	Method, Path  string
	User          *string
	Headers       [][2]string
	Body          *recordedBody
	HTTP          string
	Chunked       bool
	Expect        bool
	HalfClose     bool `json:"half_close"`
	ContentLength *int `json:"content_length"`
	Want          struct {
		Status  int
		Headers map[string]any
		Body    *string
		Interim []int
	}
}

type recordedBody struct {
	Text *string
	Size int
}

func (b *recordedBody) bytes() []byte {
	if b.Text == nil {
		return pattern(1, b.Size)
	}
	content := make([]byte, 0, len(*b.Text))
	for _, r := range *b.Text { // latin-1
		content = append(content, byte(r))
	}
	return content
}

// deviation is where this project answers otherwise than Gitea, on purpose.
type deviation struct {
	N      []int
	Why    string
	Status []int // the answers that are right here
	Skip   bool  // the request cannot be made here
}

func TestRecordedAnswersOfGitea(t *testing.T) {
	t.Parallel()
	var record struct{ Cases []recorded }
	readJSON(t, "testdata/conformance/gitea-1.26.json", &record)
	deviations := deviationsByCase(t)
	s := newServer(t)
	s.start(s.tokenSite("file_names gitea", "owner uprivate {", "\tread uprivate", "}"))
	replay := replayOf(s)
	compared, lists := 0, make(map[string]int)
	for _, c := range record.Cases {
		d, deviates := deviations[c.N]
		if d.Skip {
			continue
		}
		compared++
		response, err := replay.send(c)
		if err != nil {
			t.Errorf("#%d %s: %v", c.N, c.Case, err)
			continue
		}
		if deviates && slices.Contains(d.Status, response.status) && response.status != c.Want.Status {
			continue
		}
		if deviates && !slices.Contains(d.Status, response.status) {
			t.Errorf("#%d %s: status %d, want %v (Gitea: %d) because %s", c.N, c.Case, response.status, d.Status, c.Want.Status, d.Why)
			continue
		}
		for _, name := range listHeaders {
			if c.wants(name) != "" {
				lists[name]++
			}
		}
		for _, difference := range append(c.compare(response), replay.compareLists(t, c, response)...) {
			t.Errorf("#%d %s | %s | %s %.90s: %s", c.N, c.Group, c.Case, c.Method, c.Path, difference)
		}
	}
	if compared < 400 {
		t.Errorf("only %d cases were compared", compared)
	}
	if fmt.Sprint(replay.lists) != fmt.Sprint(lists) {
		t.Errorf("of lists %v were compared, and %v were answered as recorded", replay.lists, lists)
	}
	t.Logf("%d answers are compared; of %d the order of the keys of their JSON, of %v these headers", compared, replay.answers, replay.lists)
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func deviationsByCase(t *testing.T) map[int]deviation {
	t.Helper()
	var all []deviation
	readJSON(t, "testdata/conformance/deviations.json", &all)
	byCase := make(map[int]deviation)
	for _, d := range all {
		for _, n := range d.N {
			if _, twice := byCase[n]; twice {
				t.Errorf("case %d deviates twice", n)
			}
			byCase[n] = d
		}
	}
	return byCase
}

// wants is a header of the recorded answer.
func (c recorded) wants(name string) string {
	value, _ := c.Want.Headers[name].(string)
	return value
}

// compare is as strict as the recording allows.
func (c recorded) compare(got answer) (differences []string) {
	differ := func(format string, arguments ...any) {
		differences = append(differences, fmt.Sprintf(format, arguments...))
	}
	if got.status != c.Want.Status {
		differ("status %d, want %d", got.status, c.Want.Status)
		return differences
	}
	// Gitea asks for the body of a duplicate; here no refusal does (deviation).
	if asked := len(got.interim) > 0; c.Expect && asked != (got.status < http.StatusBadRequest) {
		differ("interim answers %v before %d", got.interim, got.status)
	}
	wanted := c.wants
	isRange := strings.HasPrefix(wanted("content-type"), "multipart")
	if c.Method == http.MethodGet && (got.status == http.StatusOK || got.status == http.StatusPartialContent) {
		if c.Want.Body != nil && !isRange && !strings.HasPrefix(wanted("content-type"), "text/plain") {
			// The recording has U+FFFD for each byte that is not UTF-8.
			if body := string([]rune(string(got.body))); body != *c.Want.Body {
				differ("body %.60q, want %.60q", body, *c.Want.Body)
			}
		}
		if want := wanted("content-type"); !strings.HasPrefix(got.header.Get("Content-Type"), want) {
			differ("Content-Type %q, want %q", got.header.Get("Content-Type"), want)
		}
	}
	if want := wanted("content-range"); want != "" && got.header.Get("Content-Range") != want {
		differ("Content-Range %q, want %q", got.header.Get("Content-Range"), want)
	}
	if want := wanted("cache-control"); strings.HasPrefix(c.Path, "/api/v1/") && want != "" && got.header.Get("Cache-Control") != want {
		differ("Cache-Control %q, want %q", got.header.Get("Cache-Control"), want)
	}
	if got.status == http.StatusUnauthorized && got.header.Get("WWW-Authenticate") == "" {
		differ("401 without WWW-Authenticate")
	}
	if allow, ok := c.Want.Headers["allow"].([]any); ok && got.status == http.StatusMethodNotAllowed {
		if want := fmt.Sprint(allow); fmt.Sprint(allowed(got.header)) != want {
			differ("Allow %v, want %v", allowed(got.header), want)
		}
	}
	return differences
}

func allowed(header http.Header) []string {
	methods := strings.FieldsFunc(header.Get("Allow"), func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(methods)
	return methods
}
