//go:build servers

package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// composeFile is what is read of a compose file.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Hostname    string
		Entrypoint  []string
		Environment map[string]string
		Volumes     []string
		Configs     []struct{ Source, Target string }
		DependsOn   any `yaml:"depends_on"`
	}
	Configs map[string]struct{ Content string }
	Volumes map[string]any
}

var composeVariable = regexp.MustCompile(`\$\{(\w+)(:\?)?\}`)

// TestComposeOfSeveralNodes runs the Caddyfiles of the compose file with real servers in the
// place of its images, under the names and with the secrets that it has: three nodes behind
// the balancer share what is published, also when one of them is killed.
//
// Docker does not run here: that the images are there and take what they are given is not tested.
func TestComposeOfSeveralNodes(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("..", "docs", "deploy")
	var compose composeFile
	if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join(folder, "compose.nodes.yml"))), &compose); err != nil {
		t.Fatal(err)
	}
	database := compose.Services["postgres"].Environment
	gateway := compose.Services["s3"].Environment
	nodes := compose.Services["node1"].Environment
	for name, service := range compose.Services {
		if service.Build.Dockerfile != "" {
			if _, err := os.Stat(filepath.Join(folder, service.Build.Context, service.Build.Dockerfile)); err != nil {
				t.Errorf("%s is built from what there is not: %v", name, err)
			}
		}
		for _, config := range service.Configs {
			if compose.Configs[config.Source].Content == "" || config.Target != "/etc/caddy/Caddyfile" {
				t.Errorf("%s has the config %+v, which is none for Caddy", name, config)
			}
		}
		for _, volume := range service.Volumes {
			if _, known := compose.Volumes[strings.Split(volume, ":")[0]]; !known {
				t.Errorf("%s has the volume %s, which is none of the file", name, volume)
			}
		}
		if strings.HasPrefix(name, "node") && service.Hostname != name {
			t.Errorf("%s has the host name %q, by which nodes know each other", name, service.Hostname)
		}
	}
	if got := nodes["REGISTRY_PASSWORD"]; got == "" || got != database["POSTGRES_PASSWORD"] {
		t.Errorf("the nodes have the password %q, PostgreSQL %q", got, database["POSTGRES_PASSWORD"])
	}
	if got := nodes["S3_SECRET"]; got == "" || got != gateway["ROOT_SECRET_KEY"] {
		t.Errorf("the nodes have the secret %q, the S3 server %q", got, gateway["ROOT_SECRET_KEY"])
	}
	node := compose.Configs["node"].Content
	for _, want := range []string{
		"dsn postgres://" + database["POSTGRES_USER"] + "@postgres/" + database["POSTGRES_DB"] + "\n",
		"key " + gateway["ROOT_ACCESS_KEY"] + "\n", "endpoint http://s3:7070\n",
	} {
		if !strings.Contains(node, want) {
			t.Errorf("the Caddyfile of the nodes does not have %q, as the other services do:\n%s", want, node)
		}
	}
	s3 := servers.StartS3As(t, compose.Services["s3"].Entrypoint, map[string]string{"ROOT_ACCESS_KEY": gateway["ROOT_ACCESS_KEY"], "ROOT_SECRET_KEY": "of-a-test"})
	names := postgresServer(t)

	balancer := newServer(t)
	balancing := compose.Configs["balancer"].Content
	var all []*server
	for i := range 3 {
		s := newNode(t)
		s.configure = func(command *exec.Cmd) {
			command.Env = append(command.Env, "S3_SECRET=of-a-test", "REGISTRY_PASSWORD="+postgrestest.Password)
		}
		s.start(s.composed(node, "http://:8080 {", "dsn postgres://registry@postgres/registry", "dsn "+names.TCP("postgres", false), "http://s3:7070", s3.Endpoint()))
		s.eventually("a node is ready", func() bool { return s.do(http.MethodGet, "/health/ready", "", nil).status == http.StatusOK })
		all = append(all, s)
		balancing = strings.Replace(balancing, fmt.Sprintf("node%d:8080", i+1), fmt.Sprintf("127.0.0.1:%d", s.port), 1)
	}
	balancer.start(balancer.composed(balancing, "http://:8080 {"))
	balancer.eventually("the balancer knows a node that is ready", func() bool {
		return balancer.do(http.MethodGet, "/health/ready", "", nil).status == http.StatusOK
	})
	for i := range 6 {
		balancer.put(filePath("team", "tool", fmt.Sprint(i), "f"), pattern(i, 50_000))
	}
	balancer.want(http.StatusUnauthorized, http.MethodPut, filePath("team", "tool", "1", "g"), "", []byte("x"))
	for killed := range 3 {
		for i := range 6 {
			for _, s := range append(all[killed:], balancer) {
				s.wantBytes(filePath("team", "tool", fmt.Sprint(i), "f"), pattern(i, 50_000))
			}
		}
		if killed < 2 {
			all[killed].kill()
			balancer.eventually("the balancer sends requests to another node", func() bool {
				return balancer.do(http.MethodGet, filePath("team", "tool", "0", "f"), "alice", nil).status == http.StatusOK
			})
		}
	}
}

// composed is a Caddyfile of a compose file at a test's port, with its own folders, and other
// texts in the place of some.
func (s *server) composed(text, site string, replaced ...string) string {
	s.Helper()
	text = strings.ReplaceAll(text, "$$", "$")
	if composeVariable.MatchString(text) {
		s.Fatalf("a variable of compose in a Caddyfile:\n%s", text)
	}
	options, rest := splitGlobal(text)
	moved := strings.Replace(rest, site, fmt.Sprintf("http://127.0.0.1:%d {", s.port), 1)
	if moved == rest {
		s.Fatalf("no site %s in\n%s", site, text)
	}
	return s.globalWith(options) + strings.NewReplacer(append(replaced, "/data/registry", s.root)...).Replace(moved)
}
