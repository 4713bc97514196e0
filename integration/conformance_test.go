package integration

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
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

// otherAPI begins the paths of another API, and afterOtherAPI are cases whose answers
// follow from one of those.
const otherAPI = "/api/v1/"

var afterOtherAPI = []int{680, 681}

func TestRecordedAnswersOfGitea(t *testing.T) {
	t.Parallel()
	var record struct{ Cases []recorded }
	readJSON(t, "testdata/conformance/gitea-1.26.json", &record)
	deviations := deviationsByCase(t)
	s := startServer(t, "file_names gitea")
	lastModified, compared := "", 0
	for _, c := range record.Cases {
		d, deviates := deviations[c.N]
		if d.Skip || strings.HasPrefix(c.Path, otherAPI) || slices.Contains(afterOtherAPI, c.N) {
			continue
		}
		compared++
		response, err := s.replay(c, lastModified)
		if err != nil {
			t.Errorf("#%d %s: %v", c.N, c.Case, err)
			continue
		}
		if modified := response.header.Get("Last-Modified"); modified != "" {
			lastModified = modified
		}
		if deviates && slices.Contains(d.Status, response.status) && response.status != c.Want.Status {
			continue
		}
		if deviates && !slices.Contains(d.Status, response.status) {
			t.Errorf("#%d %s: status %d, want %v (Gitea: %d) because %s", c.N, c.Case, response.status, d.Status, c.Want.Status, d.Why)
			continue
		}
		for _, difference := range c.compare(response) {
			t.Errorf("#%d %s | %s | %s %.90s: %s", c.N, c.Group, c.Case, c.Method, c.Path, difference)
		}
	}
	if compared < 340 {
		t.Errorf("only %d cases were compared", compared)
	}
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
	wanted := func(name string) string {
		value, _ := c.Want.Headers[name].(string)
		return value
	}
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

// replay sends a case byte for byte on a connection of its own.
func (s *server) replay(c recorded, lastModified string) (answer, error) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	reader := bufio.NewReader(connection)
	request := &http.Request{Method: c.Method}
	if _, err := io.WriteString(connection, c.head(s.port, lastModified)); err != nil {
		return answer{}, err
	}
	if c.Expect {
		status, err := reader.Peek(len("HTTP/1.1 100"))
		if err != nil {
			return answer{}, fmt.Errorf("waiting for leave to send: %w", err)
		}
		if string(status) != "HTTP/1.1 100" {
			return readAnswer(reader, request)
		}
	}
	if c.Body != nil {
		// A server that refuses may close before it has read all.
		_ = c.sendBody(connection)
	}
	if c.HalfClose {
		if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
			return answer{}, err
		}
	}
	return readAnswer(reader, request)
}

func (c recorded) head(port int, lastModified string) string {
	protocol := c.HTTP
	if protocol == "" {
		protocol = "1.1"
	}
	path := make([]byte, 0, len(c.Path))
	for _, r := range c.Path { // latin-1
		path = append(path, byte(r))
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/%s\r\nHost: 127.0.0.1:%d\r\n", c.Method, path, protocol, port)
	if c.User != nil {
		credentials := base64.StdEncoding.EncodeToString([]byte(*c.User + ":" + password))
		fmt.Fprintf(&head, "Authorization: Basic %s\r\n", credentials)
	}
	connection := false
	for _, h := range c.Headers {
		isDate := h[0] == "If-Range" || h[0] == "If-Modified-Since"
		if isDate && (strings.HasSuffix(c.Case, "Last-Modified") || strings.HasSuffix(c.Case, "= LM") || c.Case == "HEAD If-Modified-Since") {
			h[1] = lastModified
		}
		connection = connection || strings.EqualFold(h[0], "Connection")
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	if !connection {
		head.WriteString("Connection: close\r\n")
	}
	if c.Body != nil {
		switch {
		case c.Chunked:
			head.WriteString("Transfer-Encoding: chunked\r\n")
		case c.ContentLength != nil:
			fmt.Fprintf(&head, "Content-Length: %d\r\n", *c.ContentLength)
		default:
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(c.Body.bytes()))
		}
		if c.Expect {
			head.WriteString("Expect: 100-continue\r\n")
		}
	}
	return head.String() + "\r\n"
}

func (c recorded) sendBody(w io.Writer) error {
	content := c.Body.bytes()
	if !c.Chunked {
		_, err := w.Write(content)
		return err
	}
	for chunk := range slices.Chunk(content, 65536) {
		if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return err
}

// readAnswer reads the final answer, and which interim ones come before it.
func readAnswer(reader *bufio.Reader, request *http.Request) (answer, error) {
	var interim []int
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return answer{}, fmt.Errorf("reading the answer: %w", err)
		}
		if response.StatusCode >= 100 && response.StatusCode < 200 {
			interim = append(interim, response.StatusCode)
			continue
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		return answer{status: response.StatusCode, header: response.Header, body: content, closes: response.Close, interim: interim}, err
	}
}
