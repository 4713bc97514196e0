package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// password of every user of the tests.
const password = "secret"

// passwordHash is cheap: what it protects lives as long as a test.
var passwordHash = func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
}()

// global is the head of every Caddyfile of the tests. Cleaning the storage removes empty
// folders, also the one in which a certificate is just about to be stored, which then comes
// a minute late.
func (s *server) global() string {
	return fmt.Sprintf("{\n\tadmin 127.0.0.1:%d\n\tdefault_bind 127.0.0.1\n\tstorage_clean_interval off\n\tlog {\n\t\tlevel INFO\n\t}\n}\n", s.admin)
}

const users = `	@credentials header Authorization Basic*
	basic_auth @credentials {
		alice %[1]s
		bob %[1]s
		carol %[1]s
	}
`

func basicAuth() string { return fmt.Sprintf(users, passwordHash) }

// inServers is a site with options of its server, such as timeouts.
func inServers(text, options string) string {
	return strings.Replace(text, "{\n", "{\n\tservers {\n"+options+"\t}\n", 1)
}

// site is a Caddyfile with a registry of the given settings.
func (s *server) site(settings ...string) string {
	return s.global() + s.siteAt(s.port, s.root, settings...)
}

func (s *server) siteAt(port int, root string, settings ...string) string {
	return fmt.Sprintf("http://127.0.0.1:%d {\n%s\tgeneric_registry {\n\t\troot %s\n\t\t%s\n\t}\n}\n",
		port, basicAuth(), root, strings.Join(settings, "\n\t\t"))
}

func (s *server) environment() []string {
	return append(os.Environ(), "S3_KEY=key", "S3_SECRET=secret", "HOOK_SECRET=secret", "HOME="+s.dir, "XDG_DATA_HOME="+filepath.Join(s.dir, "data"), "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"))
}

func (s *server) writeConfig(text string) string {
	s.Helper()
	name := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return name
}
