package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestRulesOfOwners(t *testing.T) {
	t.Parallel()
	s := startServer(t,
		"owner team {", "\tread *", "\twrite alice", "}",
		"owner secret {", "\tread bob", "\twrite alice", "}",
		"owner * {", "\tread @users", "\twrite @owner", "}",
		"admin carol",
	)
	for _, owner := range []string{"team", "secret", "bob"} {
		s.want(http.StatusCreated, http.MethodPut, filePath(owner, "p", "1", "f"), "carol", []byte(owner))
	}
	const none = ""
	for _, test := range []struct {
		user, owner string
		read, write int
	}{
		{none, "team", 200, 401}, {"alice", "team", 200, 201}, {"bob", "team", 200, 403}, {"carol", "team", 200, 201},
		{none, "secret", 401, 401}, {"alice", "secret", 200, 201}, {"bob", "secret", 200, 403}, {"carol", "secret", 200, 201},
		{none, "bob", 401, 401}, {"alice", "bob", 200, 403}, {"bob", "bob", 200, 201}, {"bob", "BOB", 200, 201}, {"carol", "bob", 200, 201},
	} {
		t.Run(fmt.Sprintf("%q on %s", test.user, test.owner), func(t *testing.T) {
			s.want(test.read, http.MethodGet, filePath(test.owner, "p", "1", "f"), test.user, nil)
			file := filePath(test.owner, "p", "2", "by-"+test.user+"-"+test.owner)
			s.want(test.write, http.MethodPut, file, test.user, []byte("x"))
			deleted := test.write
			if deleted == http.StatusCreated {
				deleted = http.StatusNoContent
			}
			s.want(deleted, http.MethodDelete, file, test.user, nil)
		})
	}
}

// TestPrivateOwnersTellNothing: what exists and what does not look the same to
// those who may not read, but for the package in the text, which the client sent.
func TestPrivateOwnersTellNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner alice {", "\tread @owner", "}")
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	for _, user := range []string{"", "bob"} {
		var answers []string
		for _, asked := range [][3]string{{"p", "1", "f"}, {"p", "1", "g"}, {"q", "1", "f"}, {"p", "2", "f"}} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete} {
				got := s.do(method, filePath("alice", asked[0], asked[1], asked[2]), user, nil)
				got.header.Del("Date")
				text := strings.ReplaceAll(got.text(), "alice/"+asked[0], "alice/PACKAGE")
				answers = append(answers, fmt.Sprint(method, got.status, got.header, text))
			}
		}
		for i, got := range answers {
			if got != answers[i%3] {
				t.Errorf("as %q: %s, for what exists %s", user, got, answers[i%3])
			}
		}
	}
}

// TestWritesNeedAUser even where the site's configuration has no authentication.
func TestWritesNeedAUser(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site(), basicAuth(), "", 1))
	for _, owner := range []string{"alice", "anyone", "{http.auth.user.id}"} {
		path := strings.NewReplacer("{", "%7B", "}", "%7D").Replace(filePath(owner, "p", "1", "f"))
		s.want(http.StatusUnauthorized, http.MethodPut, path, "alice", []byte("x"))
		s.want(http.StatusUnauthorized, http.MethodPut, path, "", []byte("x"))
		s.want(http.StatusUnauthorized, http.MethodDelete, path, "", nil)
		s.want(http.StatusNotFound, http.MethodGet, path, "", nil)
	}
}

func TestAWriteOpenToAnyoneIsWarnedOf(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner dropbox {", "\twrite *", "}")
	s.want(http.StatusCreated, http.MethodPut, filePath("dropbox", "p", "1", "f"), "", []byte("x"))
	if log := s.logText(); !strings.Contains(log, "anyone may publish") || !strings.Contains(log, `"owner":"dropbox"`) {
		t.Errorf("no warning in the log:\n%s", log)
	}
}

func TestAWrongPasswordWithExpectIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(strings.Replace(s.site(), "\t@credentials", "\t@expect header Expect *\n\theader @expect Connection close\n\t@credentials", 1))
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Basic YWxpY2U6d3Jvbmc=\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
		filePath("alice", "p", "1", "f"), s.port)
	if got := s.exchange(head, nil); got.status != http.StatusUnauthorized {
		t.Errorf("status is %d", got.status)
	}
}

// TestADigestOpensNothing: who knows the digest of private bytes, and not the
// bytes, gets neither them nor a file that has them, and learns nothing from an
// upload of bytes that are there already.
func TestADigestOpensNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, "owner alice {", "\tread @owner", "}")
	secret := pattern(1, 5000)
	published := s.put(filePath("alice", "p", "1", "f"), secret)
	digest := strings.Trim(published.header.Get("ETag"), `"`)
	for _, body := range [][]byte{nil, secret[:4999], pattern(2, 5000)} {
		for _, claim := range []header{{"X-Checksum-Sha256", digest}, {"Repr-Digest", published.header.Get("Repr-Digest")}} {
			s.want(400, http.MethodPut, filePath("bob", "p", "1", "f"), "bob", body, claim)
			s.want(404, http.MethodPut, filePath("bob", "p", "1", "f"), "bob", body, claim, header{"X-Checksum-Deploy", "true"})
		}
	}
	for _, path := range []string{digest, "sha256/" + digest, "-/blobs/sha256:" + digest} {
		if got := s.do(http.MethodGet, api+path, "bob", nil); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	known := s.want(201, http.MethodPut, filePath("bob", "p", "1", "known"), "bob", secret)
	fresh := s.want(201, http.MethodPut, filePath("bob", "p", "1", "fresh"), "bob", pattern(3, 5000))
	for _, got := range []answer{known, fresh} {
		for _, name := range []string{"Date", "ETag", "Repr-Digest", "Location"} {
			got.header.Del(name)
		}
	}
	if fmt.Sprint(known.header, known.text()) != fmt.Sprint(fresh.header, fresh.text()) {
		t.Errorf("known content is answered %v, fresh %v", known.header, fresh.header)
	}
}
