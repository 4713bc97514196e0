package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestWarningsOfProbableMistakes: configurations with a probable mistake start with a
// warning, and configurations without it start without.
func TestWarningsOfProbableMistakes(t *testing.T) {
	t.Parallel()
	const (
		files = "inside or around the root of a site"
		twice = "basic_auth and generic_registry_auth check the same requests"
		rules = "handlers with the same root have different owner rules"
		lone  = "max_uploads without max_user_uploads"
		place = "relative to the working directory"
	)
	all := []string{files, twice, rules, lone, place}
	auth := "\tgeneric_registry_auth {\n\t\troot ROOT\n\t}\n"
	registry := "\tgeneric_registry {\n\t\troot ROOT\n\t}\n"
	site := func(text ...string) string { return "http://127.0.0.1:PORT {\n" + strings.Join(text, "") + "}\n" }
	other := func(text ...string) string { return "http://127.0.0.2:PORT {\n" + strings.Join(text, "") + "}\n" }
	private := "\tgeneric_registry {\n\t\troot ROOT\n\t\towner team {\n\t\t\tread alice\n\t\t}\n\t}\n"
	for name, test := range map[string]struct{ text, warns string }{
		"the registry in the site's root":         {site(registry, "\troot DIR\n\tfile_server\n"), files},
		"the site's root in the registry":         {site(registry, "\troot ROOT/www\n\tfile_server\n"), files},
		"the same of another site":                {site(registry) + other("\tfile_server {\n\t\troot DIR\n\t}\n"), files},
		"a store in the site's root":              {site("\tgeneric_registry {\n\t\troot ROOT\n\t\tmetadata badger {\n\t\t\tdir DIR/www/meta\n\t\t}\n\t}\n\thandle /www/* {\n\t\troot DIR/www\n\t\tfile_server\n\t}\n"), files},
		"files beside the registry":               {site(registry, "\troot DIR/www\n\tfile_server\n"), ""},
		"a root whose name begins the same":       {site(registry, "\troot ROOT-www\n\tfile_server\n"), ""},
		"passwords before tokens":                 {site(basicAuth(), auth, registry), twice},
		"passwords before tokens in a handle":     {site("\thandle /api/packages/* {\n", basicAuth(), auth, registry, "\t}\n"), twice},
		"passwords of another path":               {site(strings.Replace(basicAuth(), "@credentials {", "/admin/* {", 1), auth, registry), ""},
		"passwords of another site":               {site(auth, registry) + other(basicAuth()), ""},
		"tokens alone":                            {site(auth, registry), ""},
		"other rules for one root":                {site(registry) + other(private), rules},
		"the same rules for one root":             {site(private) + other(private), ""},
		"max_uploads alone":                       {site("\tgeneric_registry {\n\t\troot ROOT\n\t\tmax_uploads 9\n\t}\n"), lone},
		"max_uploads with max_user_uploads":       {site("\tgeneric_registry {\n\t\troot ROOT\n\t\tmax_uploads 9\n\t\tmax_user_uploads 3\n\t}\n"), ""},
		"a relative root":                         {site(strings.ReplaceAll(registry, "ROOT", "./data")), place},
		"a site that serves nothing but packages": {site(registry), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.workdir = s.dir
			text := strings.NewReplacer("PORT", fmt.Sprint(s.port), "ROOT", s.root, "DIR", filepath.Dir(s.root)).Replace(test.text)
			s.start(s.global() + text)
			s.eventually("all apps are started", func() bool { return strings.Contains(s.logText(), "serving initial configuration") })
			log := s.logText()
			for _, warning := range all {
				if count := strings.Count(log, warning); (count > 0) != (warning == test.warns) {
					t.Errorf("%d times: %s", count, warning)
				}
			}
		})
	}
}
