package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// scraped are the metrics of the registry by name and labels, without the label of the root.
type scraped map[string]float64

// scrape asks Caddy for its metrics.
func (s *server) scrape() scraped {
	s.Helper()
	status, body := s.fromAdmin("/metrics")
	if status != http.StatusOK {
		s.Fatalf("metrics: %d %s", status, body)
	}
	values := make(scraped)
	root := regexp.MustCompile(`,?root=` + regexp.QuoteMeta(strconv.Quote(s.root)))
	for line := range strings.Lines(string(body)) {
		line, ours := strings.CutPrefix(strings.TrimSpace(line), "caddy_generic_registry_")
		if !ours {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			s.Fatalf("metric %q: %v", line, err)
		}
		values[strings.ReplaceAll(root.ReplaceAllString(line[:end], ""), "{,", "{")] = value
	}
	return values
}

// names are those of the metrics, without labels.
func (m scraped) names() map[string]bool {
	names := make(map[string]bool)
	for name := range m {
		name, _, _ = strings.Cut(name, "{")
		names[name] = true
	}
	return names
}

// metered is a site with Caddy's metrics and quotas.
func (s *server) metered(settings ...string) string {
	return strings.Replace(s.site(append(settings, "browse", "max_file_size 10KiB",
		"owner alice {", "\tquota 10KiB", "\tmax_versions 3", "\twebhook http://127.0.0.1:9/", "}", "owner * {", "\tquota 1GiB", "}")...), "{\n", "{\n\tmetrics\n", 1)
}

// TestMetricsOfARegistry: requests, refusals, bytes and content are counted, no label has
// anything of a request, and no counter goes back when the configuration is reloaded.
func TestMetricsOfARegistry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.metered())
	path := func(name string) string { return filePath("alice", "tool", "1", name) }
	s.put(path("one"), pattern(1, 4000))
	s.put(path("same"), pattern(1, 4000))
	s.want(http.StatusConflict, http.MethodPut, path("one"), "alice", pattern(1, 4000))
	s.want(http.StatusForbidden, http.MethodPut, path("over"), "alice", pattern(2, 3000))
	s.want(http.StatusForbidden, http.MethodPut, path("not-his"), "bob", []byte("x"))
	s.want(http.StatusUnauthorized, http.MethodPut, path("nobody"), "", nil)
	s.want(http.StatusRequestEntityTooLarge, http.MethodPut, filePath("bob", "p", "1", "large"), "bob", pattern(3, 20_000))
	s.want(http.StatusCreated, http.MethodPut, filePath("bob", "p", "1", "f"), "bob", []byte("bob's"))
	s.wantBytes(path("one"), pattern(1, 4000))
	s.want(http.StatusPartialContent, http.MethodGet, path("one"), "", nil, header{"Range", "bytes=0-999"})
	s.want(http.StatusNotFound, http.MethodGet, path("missing"), "", nil)
	s.want(http.StatusOK, http.MethodGet, "/api/packages/alice/", "", nil)
	s.want(http.StatusOK, http.MethodGet, "/api/v1/packages/alice", "alice", nil)
	s.want(http.StatusNoContent, http.MethodDelete, path("same"), "alice", nil)
	s.want(http.StatusCreated, http.MethodPut, path("part"), "alice", nil, interop, incomplete)

	before := s.scrape()
	for name, want := range map[string]float64{
		`requests_total{operation="publish",status="201"}`:  3,
		`requests_total{operation="publish",status="409"}`:  1,
		`requests_total{operation="publish",status="403"}`:  2,
		`requests_total{operation="publish",status="401"}`:  1,
		`requests_total{operation="publish",status="413"}`:  1,
		`requests_total{operation="download",status="200"}`: 1,
		`requests_total{operation="download",status="206"}`: 1,
		`requests_total{operation="download",status="404"}`: 1,
		`requests_total{operation="delete",status="204"}`:   1,
		`requests_total{operation="browse",status="200"}`:   1,
		`requests_total{operation="api",status="200"}`:      1,
		`requests_total{operation="resume",status="201"}`:   1,
		`refusals_total{reason="exists"}`:                   1,
		`refusals_total{reason="quota"}`:                    1,
		`refusals_total{reason="forbidden"}`:                1,
		`refusals_total{reason="unauthenticated"}`:          1,
		`refusals_total{reason="too_large"}`:                1,
		`refusals_total{reason="not_found"}`:                1,
		`ready{}`:                                           1,
		`uploads{}`:                                         0,
		`resumable_uploads{}`:                               1,
		`published_files_total{}`:                           3,
		`published_bytes_total{}`:                           8005,
		`deduplicated_bytes_total{}`:                        4000,
		`owners{}`:                                          2,
		`versions{}`:                                        2,
		`file_bytes{}`:                                      4005,
		`quota_used{of="bytes",owner="alice"}`:              4000,
		`quota_limit{of="bytes",owner="alice"}`:             10 << 10,
		`quota_used{of="versions",owner="alice"}`:           1,
		`quota_limit{of="versions",owner="alice"}`:          3,
		`journal_sequence{}`:                                4,
		`checkpoint_sequence{}`:                             0,
	} {
		if got, ok := before[name]; !ok || got != want {
			t.Errorf("%s is %v, %t; want %v", name, got, ok, want)
		}
	}
	if received := before["received_bytes_total{}"]; received < 8005 {
		t.Errorf("%v bytes were received, want 8005 and those of refused uploads", received)
	}
	if sent := before["sent_bytes_total{}"]; sent < 5000 {
		t.Errorf("%v bytes were sent, want 5000 and those of other answers", sent)
	}
	for name := range before {
		if strings.Contains(name, "bob") || strings.Contains(name, "tool") {
			t.Errorf("a label has what a request said: %s", name)
		}
	}
	s.wantDocumented(before)
	for i := range 3 {
		s.mustReload(s.metered(fmt.Sprintf("max_uploads %d", i+1), "max_user_uploads 1"))
		after := s.scrape()
		for name, had := range before {
			if got := after[name]; got < had && (strings.Contains(name, "_total{") || strings.HasPrefix(name, "commit_seconds")) {
				t.Errorf("after reload %d %s is %v, and was %v", i, name, got, had)
			}
		}
		before = after
	}
}

// wantDocumented wants the table of operate.md, the dashboard and the alerts to have the
// names that there are, and the table to have all of them.
func (s *server) wantDocumented(values scraped) {
	s.Helper()
	names := values.names()
	// Only of a pass that ended, only where a disk limits them, and only once one was made.
	names["scrub_finished_seconds"], names["free_files"], names["reserve_files"], names["checkpoint_seconds"] = true, true, true, true
	ours := regexp.MustCompile(`caddy_generic_registry_(\w+)`)
	documented := make(map[string]bool)
	for _, match := range ours.FindAllStringSubmatch(readFile(s, "../docs/operate.md"), -1) {
		documented[match[1]] = true
		if !names[match[1]] && !names[match[1]+"_count"] {
			s.Errorf("operate.md has a metric %q, which there is not", match[1])
		}
	}
	for name := range names {
		if whole := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count"); !documented[whole] {
			s.Errorf("operate.md does not have the metric %q", whole)
		}
	}
	for _, expression := range append(s.expressionsOfTheDashboard(), s.expressionsOfTheAlerts()...) {
		found := ours.FindAllStringSubmatch(expression, -1)
		if len(found) == 0 {
			s.Errorf("%q has no metric of the registry", expression)
		}
		for _, match := range found {
			if !names[match[1]] {
				s.Errorf("%q has a metric that there is not", expression)
			}
		}
		for _, pair := range []string{"()", "[]", "{}"} {
			if strings.Count(expression, pair[:1]) != strings.Count(expression, pair[1:]) {
				s.Errorf("%q has a %s without its other half", expression, pair)
			}
		}
	}
}

// expressionsOfTheDashboard are those of docs/grafana-dashboard.json.
func (s *server) expressionsOfTheDashboard() (expressions []string) {
	s.Helper()
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(s, filepath.Join("..", "docs", "grafana-dashboard.json"))), &dashboard); err != nil {
		s.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, panel := range dashboard.Panels {
		if seen[panel.ID] || panel.Title == "" || len(panel.Targets) == 0 {
			s.Errorf("panel %d %q has no title, no target, or the number of another", panel.ID, panel.Title)
		}
		seen[panel.ID] = true
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}

// expressionsOfTheAlerts are those of docs/alerts.yml.
func (s *server) expressionsOfTheAlerts() (expressions []string) {
	s.Helper()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(readFile(s, filepath.Join("..", "docs", "alerts.yml"))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		s.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				s.Errorf("an alert has no name, severity or summary: %+v", rule)
			}
			expressions = append(expressions, rule.Expr)
		}
	}
	return expressions
}
