package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestATokenIsNobodyInAnotherRegistry of the same site: neither where the other registry
// answers, nor where it words the errors of the token's own.
//
// Seen to fail without the comparison of registries, and the last request without the name
// that the token's own registry gave being dropped.
func TestATokenIsNobodyInAnotherRegistry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	other := s.root + "-other"
	const rules = "owner secret {\n\t\t\tread alice\n\t\t\twrite alice\n\t\t}"
	s.start(s.global() + fmt.Sprintf(`http://127.0.0.1:%d {
	generic_registry_auth {
		root %[2]s
		basic {
			alice %[4]s
		}
	}
	generic_registry {
		root %[2]s
		prefix /a
		errors route
		%[5]s
	}
	generic_registry {
		root %[3]s
		prefix /b
		%[5]s
	}
	handle_errors {
		rewrite * /b/secret/generic/p/1/f
		generic_registry {
			root %[3]s
			prefix /b
			%[5]s
		}
	}
}
`, s.port, s.root, other, passwordHash, rules))
	token := authorization("Bearer " + s.token("--root", s.root, "--name", "ci", "--user", "alice", "--scope", "write,delete"))
	const own, foreign = "/a/secret/generic/p/1/f", "/b/secret/generic/p/1/f"
	s.want(201, http.MethodPut, own, "", []byte("own"), token)
	s.want(200, http.MethodGet, own, "", nil, token)
	s.want(201, http.MethodPut, foreign, "alice", []byte("other's secret"))
	s.want(200, http.MethodGet, foreign, "alice", nil)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		s.want(401, method, foreign, "", []byte("x"), token)
	}
	got := s.want(404, http.MethodGet, "/a/secret/generic/p/1/missing", "", nil, token)
	if strings.Contains(got.text(), "other's secret") {
		t.Errorf("the other registry words the refusal as if the token were its own: %s", got.text())
	}
}
