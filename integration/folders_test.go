package integration

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// acceptPage is what a browser sends, acceptPip what pip does.
const (
	acceptPage = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	acceptPip  = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
)

// startFolders starts a registry with pages and some packages: public ones of alice, some
// of them private, and those of priv, which are private all. Redirects are not followed.
func startFolders(t testing.TB) *server {
	s := startServer(t, "browse", "file_names gitea",
		"owner alice {\n\t\t\tpackage secret-* {\n\t\t\t\tread bob\n\t\t\t\twrite alice\n\t\t\t}\n\t\t}",
		"owner priv {\n\t\t\tread bob\n\t\t\twrite alice\n\t\t}",
		"owner opened {\n\t\t\tread bob\n\t\t\twrite alice\n\t\t\tpackage demo {\n\t\t\t\tread *\n\t\t\t}\n\t\t}")
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{
		filePath("alice", "tool", "1.0.0", "README.md"), filePath("alice", "tool", "1.0.0", "tool.tar.gz"), filePath("alice", "tool", "1.0.0", "a%20b%26.txt"),
		filePath("alice", "tool", "2.0.0-rc.1", "tool.tar.gz"), filePath("alice", "tool", "odd%20%C3%A9%2F%22%3Cb%3E", "tool.tar.gz"),
		filePath("alice", "secret-plan", "1", "plan.txt"), filePath("priv", "tool", "1", "tool.tar.gz"),
		filePath("opened", "demo", "1", "tool.tar.gz"), filePath("opened", "closed", "1", "tool.tar.gz"),
	} {
		s.put(path, []byte("content of "+path))
	}
	return s
}

var hrefs = regexp.MustCompile(`(?s)<a href="([^"]*)">`)

func TestFoldersListWhatMayBeRead(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	for _, test := range []struct {
		path, user string
		want       []string // nil for a folder that is not there
		status     int
	}{
		{"", "", []string{"alice/", "opened/"}, 200},
		{"", "bob", []string{"alice/", "opened/", "priv/"}, 200},
		{"", "carol", []string{"alice/", "opened/"}, 200},
		{"alice/", "", []string{"generic/"}, 200},
		{"ALICE/", "", []string{"generic/"}, 200},
		{"alice/generic/", "", []string{"tool/"}, 200},
		{"alice/generic/", "bob", []string{"secret-plan/", "tool/"}, 200},
		{"opened/generic/", "", []string{"demo/"}, 200},
		{"opened/generic/", "bob", []string{"closed/", "demo/"}, 200},
		{"alice/generic/tool/", "", []string{"odd%20%C3%A9%2F%22%3Cb%3E/", "2.0.0-rc.1/", "1.0.0/"}, 200},
		{"alice/generic/Tool/1.0.0/", "", []string{"a%20b%26.txt", "README.md", "tool.tar.gz"}, 200},
		{"alice/generic/tool/odd%20%C3%A9%2F%22%3Cb%3E/", "", []string{"tool.tar.gz"}, 200},
		{"//alice///generic/./tool/1.0.0//", "", []string{"a%20b%26.txt", "README.md", "tool.tar.gz"}, 200},
		// Of what nobody may read, only the credentials count, whether it is there or not.
		{"priv/", "", nil, 401}, {"priv/generic/", "", nil, 401}, {"priv/generic/tool/", "", nil, 401}, {"priv/generic/none/1/", "", nil, 401},
		{"priv/", "carol", nil, 404}, {"priv/generic/tool/1/", "carol", nil, 404}, {"priv/generic/none/", "carol", nil, 404},
		{"alice/generic/secret-plan/", "", nil, 401}, {"alice/generic/secret-none/", "", nil, 401}, {"alice/generic/secret-plan/1/", "carol", nil, 404},
		{"opened/generic/closed/", "", nil, 401}, {"opened/generic/none/1/", "", nil, 401},
		// What is not there.
		{"nobody/", "", nil, 404}, {"nobody/generic/", "", nil, 404}, {"alice/npm/", "", nil, 404}, {"alice/Generic/", "", nil, 404},
		{"alice/generic/none/", "", nil, 404}, {"alice/generic/tool/3/", "", nil, 404}, {"alice/generic/tool/1.0.0/README.md/", "", nil, 404},
		{"alice/generic/tool/1.0.0/README.md/more/", "", nil, 404},
		// What cannot be a path.
		{"alice/%2e%2e/", "", nil, 400}, {"alice/generic/a%5Cb/", "", nil, 400}, {"%20alice/", "", nil, 400}, {"alice/%zz/", "", nil, 400}, {"alice/generic/tool/..", "", nil, 400},
	} {
		t.Run(test.path+" as "+test.user, func(t *testing.T) {
			s := s.in(t)
			for _, accept := range []string{"*/*", acceptPip, "application/json", acceptPage} {
				got := s.raw(http.MethodGet, api+test.path, test.user, header{"Accept", accept})
				if got.status != test.status {
					t.Fatalf("with Accept %s: %d %s, want %d", accept, got.status, got.text(), test.status)
				}
				if test.want == nil || accept == acceptPage {
					continue
				}
				if entries := entriesOf(t, got); !slices.Equal(entries, test.want) {
					t.Errorf("with Accept %s the entries are %q, want %q", accept, entries, test.want)
				}
			}
			if got, want := s.raw(http.MethodHead, api+test.path, test.user), test.status; got.status != want || len(got.body) != 0 {
				t.Errorf("HEAD is %d with %d bytes, want %d without any", got.status, len(got.body), want)
			}
			if got := s.raw(http.MethodPut, api+test.path+"x/", "alice"); got.status < 400 {
				t.Errorf("PUT of a folder is %d, want a refusal", got.status)
			}
		})
	}
}

// raw sends a path as it stands, which url.Parse would refuse or clean.
func (s *server) raw(method, path, user string, headers ...header) answer {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, fmt.Sprintf("http://127.0.0.1:%d/", s.port), nil)
	if err != nil {
		s.Fatal(err)
	}
	request.URL.Opaque = path
	if strings.HasPrefix(path, "//") {
		request.URL.Opaque = "//" + request.URL.Host + path
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	for _, h := range headers {
		request.Header.Add(h.name, h.value)
	}
	return s.answerTo(request)
}

func (s *server) answerTo(request *http.Request) answer {
	s.Helper()
	response, err := s.client.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: body}
}

// entriesOf are the URLs of a list's entries.
func entriesOf(t testing.TB, list answer) (urls []string) {
	t.Helper()
	if strings.HasPrefix(list.header.Get("Content-Type"), "application/json") {
		var entries []struct{ URL string }
		if err := json.Unmarshal(list.body, &entries); err != nil {
			t.Fatalf("%v in %s", err, list.body)
		}
		for _, entry := range entries {
			urls = append(urls, entry.URL)
		}
		return urls
	}
	for _, match := range hrefs.FindAllSubmatch(list.body, -1) {
		urls = append(urls, string(match[1]))
	}
	return urls
}

func TestFoldersAreNotCached(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	for accept, mediaType := range map[string]string{
		"*/*": "text/html; charset=utf-8", acceptPage: "text/html; charset=utf-8", "application/json": "application/json; charset=utf-8",
	} {
		got := s.want(http.StatusOK, http.MethodGet, versionPath("alice", "tool", "1.0.0")+"/", "", nil, header{"Accept", accept})
		for name, want := range map[string]string{
			"Content-Type": mediaType, "Cache-Control": "private, no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
		} {
			if value := strings.Join(got.header.Values(name), ", "); value != want {
				t.Errorf("with Accept %s, %s is %q, want %q", accept, name, value, want)
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("with Accept %s the policy is %q", accept, policy)
		}
	}
	refused := s.want(http.StatusNotFound, http.MethodGet, api+"nobody/", "", nil, header{"Accept", acceptPage})
	if policy := refused.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(refused.text(), "package does not exist") {
		t.Errorf("the page of a refusal has the policy %q and is\n%s", policy, refused.text())
	}
	first := s.want(http.StatusOK, http.MethodGet, api, "", nil, header{"Accept", acceptPage}).header.Get("Content-Security-Policy")
	if second := s.want(http.StatusOK, http.MethodGet, api, "", nil, header{"Accept", acceptPage}).header.Get("Content-Security-Policy"); first == second {
		t.Errorf("two pages have one nonce: %s", first)
	}
}

func TestFoldersWithoutASlashLeadToThem(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	for path, want := range map[string]string{
		"":                                   "./packages/",
		"alice":                              "./alice/",
		"priv":                               "./priv/",
		"nobody?q=a%20b":                     "./nobody/?q=a%20b",
		"alice/generic":                      "./generic/",
		"alice/generic/tool":                 "./tool/",
		"alice/generic/a:b":                  "./a%3Ab/",
		"alice/generic/tool/1.0.0?after=x&y": "./1.0.0/?after=x&y",
		"alice/generic/tool/odd%20%2F":       "./odd%20%2F/",
	} {
		path := strings.TrimSuffix(api, "/") + strings.TrimSuffix("/"+path, "/")
		got := s.raw(http.MethodGet, path, "")
		if got.status != http.StatusPermanentRedirect || got.header.Get("Location") != want {
			t.Errorf("%s is %d to %q, want 308 to %q", path, got.status, got.header.Get("Location"), want)
		}
	}
	for _, path := range []string{"alice/generic/tool/.", "alice/%2e%2e", "%20"} {
		if got := s.raw(http.MethodGet, api+path, ""); got.status != http.StatusBadRequest {
			t.Errorf("%s is %d, want 400", path, got.status)
		}
	}
	if got := s.do(http.MethodPost, versionPath("alice", "tool", "1.0.0"), "alice", nil); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST of a version is %d, want 405", got.status)
	}
}

func TestVersionsInBothOrders(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	for _, version := range []string{"1.10.0", "2.0.0", "1.9.0", "nightly"} {
		s.put(filePath("alice", "app", version, "app_"+version+".tar.gz"), []byte("content"))
	}
	s.put(filePath("alice", "beta", "0.1.0-beta", "beta"), []byte("content"))
	rows := regexp.MustCompile(`<li><a href="[^"]*/">([^<]*)</a>(.*)`)
	for query, want := range map[string]string{
		"":             "nightly 1.9.0 2.0.0* 1.10.0",
		"?sort=time":   "nightly 1.9.0 2.0.0* 1.10.0",
		"?sort=semver": "2.0.0* 1.10.0 1.9.0",
		"?after=%00":   "nightly 1.9.0 2.0.0* 1.10.0",
	} {
		page := s.want(http.StatusOK, http.MethodGet, api+"alice/generic/app/"+query, "", nil, header{"Accept", acceptPage})
		_, list, _ := strings.Cut(page.text(), `<ul class="entries">`)
		var got []string
		for _, row := range rows.FindAllStringSubmatch(list, -1) {
			if strings.Contains(row[2], ">latest<") {
				row[1] += "*"
			}
			got = append(got, row[1])
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("with %q the versions are %s, want %s", query, got, want)
		}
	}
	for folder, want := range map[string]string{
		"app/latest/": "../2.0.0/", "app/LATEST/?file=x": "../2.0.0/?file=x", "app/%5E1/": "../1.10.0/", "app/1.x/": "../1.10.0/",
		"app/%5E3/": "", "app/%5E%5E/": "", "beta/latest/": "", "none/latest/": "",
	} {
		for _, accept := range []string{"*/*", acceptPage} {
			got := s.do(http.MethodGet, api+"alice/generic/"+folder, "", nil, header{"Accept", accept})
			status := http.StatusFound
			if want == "" {
				status = http.StatusNotFound
			}
			if got.status != status || got.header.Get("Location") != want {
				t.Errorf("%s is %d to %q, want %d to %q", folder, got.status, got.header.Get("Location"), status, want)
			}
		}
	}
	page := s.want(http.StatusOK, http.MethodGet, versionPath("alice", "app", "2.0.0")+"/", "", nil, header{"Accept", acceptPage}).text()
	if want := fmt.Sprintf("&#39;http://127.0.0.1:%d/api/packages/alice/generic/app/latest/app_@version.tar.gz&#39;", s.port); !strings.Contains(page, want) {
		t.Errorf("the page of the latest version does not say %s:\n%s", want, page)
	}
}

// TestPagesAreSmall, however long the names are and many the rows, and lead to all rows, also
// those of writers. Seen to fail with as many drafts as there are.
func TestPagesAreSmall(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	long := strings.Repeat("&", 240)
	want := 60
	for i := range want {
		s.put(filePath("alice", "many", fmt.Sprintf("1.%d.0", i), "tool"), []byte("content"))
		s.put(filePath("alice", strings.Repeat("p", 250), url.PathEscape(fmt.Sprintf("%s%d", long, i)), "tool"), []byte("content"))
		s.put(filePath("alice", "files", url.PathEscape(long), url.PathEscape(fmt.Sprintf("%s%d", long, i))), []byte("content"))
	}
	for i := range 20 {
		s.put(filePath("alice", "drafts", url.PathEscape(fmt.Sprintf("%s%d", long, i)), "tool")+"?draft", []byte("content"))
	}
	s.put(filePath("alice", "drafts", "1", "tool"), []byte("content"))
	s.put(filePath("alice", "files", url.PathEscape(long), "README.md"), []byte(strings.Repeat("<\"&'>+", 10000)))
	rows := regexp.MustCompile(`<tr role="row"><th scope="row"|<li><a href="[^"]*/">[^<]*</a>|<li><a class="name"`)
	next := regexp.MustCompile(`<a href="\./([^"]*)" rel="next">`)
	for folder, want := range map[string]int{
		"alice/generic/many/": want, "alice/generic/" + strings.Repeat("p", 250) + "/": want, "alice/generic/files/" + url.PathEscape(long) + "/": want + 1,
		"alice/generic/files/" + url.PathEscape(long) + "/?edit": want + 1,
		"alice/generic/drafts/":                                  1,
	} {
		seen := 0
		folder, query, _ := strings.Cut(folder, "?")
		query = "?" + query
		for pages := 0; ; pages++ {
			page := s.want(http.StatusOK, http.MethodGet, api+folder+query, "alice", nil, header{"Accept", acceptPage})
			if len(page.body) > 40<<10 {
				t.Errorf("%s%s has %d bytes, want at most 40 KiB", folder, query, len(page.body))
			}
			_, list, _ := strings.Cut(page.text(), "<main")
			list, _, _ = strings.Cut(list, "<h2>Drafts</h2>")
			seen += len(rows.FindAllString(list, -1))
			more := next.FindStringSubmatch(list)
			if more == nil || pages > want {
				break
			}
			query = html.UnescapeString(more[1])
		}
		if seen != want {
			t.Errorf("the pages of %s have %d rows, want %d", folder, seen, want)
		}
	}
}

// TestPagesLinkWhatCanBeHad, by the options of downloads.
func TestPagesLinkWhatCanBeHad(t *testing.T) {
	t.Parallel()
	version := versionPath("alice", "tool", "1.0.0") + "/"
	links := []string{`href="../1.0.0?archive=tar"`, `href="../1.0.0?archive=zip"`, `href="SHA256SUMS"`, "tool/latest/tool.tar.gz"}
	for _, test := range []struct {
		settings []string
		want     bool
	}{{[]string{"browse"}, true}, {[]string{"browse", "archive off", "checksums off", "select off"}, false}} {
		s := startServer(t, test.settings...)
		s.put(version+"tool.tar.gz", []byte("content"))
		page := s.want(http.StatusOK, http.MethodGet, version, "", nil, header{"Accept", acceptPage}).text()
		for _, link := range links {
			if strings.Contains(page, link) != test.want {
				t.Errorf("with %q the page has %s: %v, want %v", test.settings, link, !test.want, test.want)
			}
		}
		for _, path := range []string{strings.TrimSuffix(version, "/") + "?archive=tar", version + "SHA256SUMS", api + "alice/generic/tool/latest/"} {
			if got := s.do(http.MethodGet, path, "", nil); (got.status == http.StatusOK) != test.want {
				t.Errorf("with %q %s is %d", test.settings, path, got.status)
			}
		}
	}
}

func TestFoldersAreOffWithoutBrowse(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.put(filePath("alice", "tool", "1.0.0", "tool.tar.gz"), []byte("content"))
	for _, path := range []string{api, api + "alice/", api + "alice", api + "alice/generic/tool/", versionPath("alice", "tool", "1.0.0") + "/", api + "?signin", "/alice/-/packages"} {
		s.want(http.StatusNotFound, http.MethodGet, path, "", nil, header{"Accept", acceptPage})
	}
}

func TestSignInLeadsBack(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	refused := s.want(http.StatusUnauthorized, http.MethodGet, api+"?signin=alice/generic/tool/", "", nil, header{"Accept", acceptPage})
	if challenge := refused.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("the challenge is %q, want one of Basic", challenge)
	}
	for back, want := range map[string]string{
		"":                            "./",
		"alice/generic/tool/":         "./alice/generic/tool/",
		"alice/generic/tool/a%2520b/": "./alice/generic/tool/a%20b/",
		"//evil.example/":             "./evil.example/",
		"https://evil.example/":       "./https%3A/evil.example/",
		"%5C%5Cevil.example":          "./",
		"../../../x":                  "./",
		"javascript:run()":            "./javascript%3Arun%28%29/",
		"%0D%0ASet-Cookie:a=b":        "./",
	} {
		got := s.want(http.StatusSeeOther, http.MethodGet, api+"?signin="+back, "bob", nil)
		if location := got.header.Get("Location"); location != want {
			t.Errorf("?signin=%s leads to %q, want %q", back, location, want)
		}
	}
	// The link on a page comes back to that page.
	page := s.want(http.StatusOK, http.MethodGet, api+"alice/generic/tool/odd%20%C3%A9%2F%22%3Cb%3E/", "", nil, header{"Accept", acceptPage})
	for _, link := range hrefs.FindAllSubmatch(page.body, -1) {
		if !strings.Contains(string(link[1]), "signin") {
			continue
		}
		at, err := url.Parse(api + "alice/generic/tool/odd%20%C3%A9%2F%22%3Cb%3E/" + string(link[1]))
		if err != nil {
			t.Fatal(err)
		}
		got := s.want(http.StatusSeeOther, http.MethodGet, api+"?"+at.RawQuery, "bob", nil)
		if location, want := got.header.Get("Location"), "./alice/generic/tool/odd%20%C3%A9%2F%22%3Cb%3E/"; location != want {
			t.Errorf("signing in leads to %q, want %q", location, want)
		}
		return
	}
	t.Error("the page has no link to sign in")
}

func TestPagesOfGiteaLeadToTheFolders(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	for path, want := range map[string]string{
		"/alice/-/packages":                                "/api/packages/alice/",
		"/alice/-/packages/":                               "/api/packages/alice/",
		"/alice/-/packages/generic":                        "/api/packages/alice/",
		"/alice/-/packages/generic/tool":                   "/api/packages/alice/generic/tool/",
		"/alice/-/packages/generic/tool/versions":          "/api/packages/alice/generic/tool/",
		"/alice/-/packages/generic/tool/1.0.0":             "/api/packages/alice/generic/tool/1.0.0/",
		"/alice/-/packages/generic/tool/odd%20%2F%22":      "/api/packages/alice/generic/tool/odd%20%2F%22/",
		"//evil.example/-/packages/generic/tool":           "/api/packages/evil.example/generic/tool/",
		"/alice/-/packages/npm/tool/1.0.0":                 "",
		"/alice/-/packages/generic/tool/1.0.0/files/12":    "",
		"/alice/-/projects":                                "",
		"/..%2F..%2Fx/-/packages":                          "",
		"/alice/-/packages/generic/tool/%2e%2e":            "",
		"/alice/-/packages/generic/tool/1.0.0/files/12/3/": "",
	} {
		got := s.raw(http.MethodGet, path, "", header{"Accept", acceptPage})
		if want == "" {
			if got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
				t.Errorf("%s is %d, want 404", path, got.status)
			}
			continue
		}
		at := &url.URL{Scheme: "http", Host: "registry", Path: "/"}
		at.RawPath = path
		at.Path, _ = url.PathUnescape(path)
		location, err := at.Parse(got.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if got.status != http.StatusFound || location.Host != "registry" || location.EscapedPath() != want {
			t.Errorf("%s is %d to %s, want 302 to %s", path, got.status, location, want)
		}
	}
	if got := s.do(http.MethodPut, "/alice/-/packages/generic/tool/1.0.0", "alice", nil); got.status != http.StatusNotFound {
		t.Errorf("PUT of a page is %d, want 404", got.status)
	}
}

func TestAnEmptyRegistrySaysHowToPublish(t *testing.T) {
	t.Parallel()
	s := startServer(t, "browse", "owner team {\n\t\t\twrite alice\n\t\t}")
	list := s.want(http.StatusOK, http.MethodGet, api, "", nil)
	if entries := entriesOf(t, list); entries != nil {
		t.Errorf("an empty registry lists %q", entries)
	}
	page := s.want(http.StatusOK, http.MethodGet, api, "alice", nil, header{"Accept", acceptPage}).text()
	command := fmt.Sprintf("curl --fail-with-body --user alice --upload-file tool.tar.gz http://127.0.0.1:%d/api/packages/alice/generic/tool/1.0.0/tool.tar.gz", s.port)
	if !strings.Contains(page, command) {
		t.Errorf("the page does not say %q:\n%s", command, page)
	}
	// Who may publish for an owner is told so, others hear what they hear of any owner.
	page = s.want(http.StatusOK, http.MethodGet, api+"alice/", "alice", nil, header{"Accept", acceptPage}).text()
	if !strings.Contains(page, "alice has no packages yet") {
		t.Errorf("the page of a user without packages is\n%s", page)
	}
	// Seen to fail with a page that has the owner log in.
	page = s.want(http.StatusOK, http.MethodGet, api+"team/", "alice", nil, header{"Accept", acceptPage}).text()
	if command = strings.Replace(command, "/alice/", "/team/", 1); !strings.Contains(page, command) {
		t.Errorf("the page of an owner without packages does not say %q:\n%s", command, page)
	}
	s.want(http.StatusNotFound, http.MethodGet, api+"alice/", "", nil, header{"Accept", acceptPage})
}
