package integration

import (
	"fmt"
	"net/http"
	"testing"

	"code.gitea.io/sdk/gitea"
)

// TestGiteaSDK: the Go client of Gitea lists, finds and deletes packages with a token, and
// hears of refusals.
func TestGiteaSDK(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite("releases", "owner team {", "\tread @users", "\twrite ci", "}"))
	token := s.token("--name", "ci", "--user", "ci", "--scope", "write,delete")
	for _, version := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		s.want(http.StatusCreated, http.MethodPut, filePath("team", "tool", version, "tool.tar.gz"), "", []byte(version), authorization("token "+token))
	}
	client, err := gitea.NewClient(fmt.Sprintf("http://127.0.0.1:%d", s.port), gitea.SetToken(token))
	if err != nil {
		t.Fatal(err)
	}
	if version, _, err := client.ServerVersion(); err != nil || version != "1.26.0" {
		t.Errorf("the server is %s, %v", version, err)
	}
	if me, _, err := client.GetMyUserInfo(); err != nil || me.UserName != "ci" {
		t.Errorf("the user is %+v, %v", me, err)
	}
	page, _, err := client.ListPackages("team", gitea.ListPackagesOptions{ListOptions: gitea.ListOptions{Page: 1, PageSize: 2}})
	if err != nil || len(page) != 2 || page[0].Version != "2.0.0-rc.1" || page[0].Creator.UserName != "ci" || page[0].CreatedAt.IsZero() {
		t.Errorf("a page is %+v, %v", page, err)
	}
	if found, _, err := client.GetPackage("team", "generic", "tool", "1.1.0"); err != nil || found.Name != "tool" || found.Owner.UserName != "team" {
		t.Errorf("the version is %+v, %v", found, err)
	}
	if latest, _, err := client.GetLatestPackage("team", "generic", "tool"); err != nil || latest.Version != "2.0.0-rc.1" {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
	if files, _, err := client.ListPackageFiles("team", "generic", "tool", "1.0.0"); err != nil || len(files) != 1 || files[0].Name != "tool.tar.gz" || files[0].Size != 5 {
		t.Errorf("the files are %+v, %v", files, err)
	}
	if release, _, err := client.GetLatestRelease("team", "tool"); err != nil || release.TagName != "1.1.0" {
		t.Errorf("the latest release is %+v, %v", release, err)
	}
	if releases, _, err := client.ListReleases("team", "tool", gitea.ListReleasesOptions{}); err != nil || len(releases) != 3 || !releases[0].IsPrerelease || len(releases[0].Attachments) != 4 {
		t.Errorf("the releases are %+v, %v", releases, err)
	}
	if _, response, err := client.GetPackage("team", "generic", "tool", "9"); err == nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown version: %v", err)
	}
	if response, err := client.LinkPackage("team", "generic", "tool", "repo"); err == nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("a link to a repository: %v", err)
	}
	if _, err := client.DeletePackage("team", "generic", "tool", "1.0.0"); err != nil {
		t.Error(err)
	}
	s.want(http.StatusNotFound, http.MethodGet, filePath("team", "tool", "1.0.0", "tool.tar.gz"), "bob", nil)
	other, err := gitea.NewClient(fmt.Sprintf("http://127.0.0.1:%d", s.port), gitea.SetBasicAuth("bob", password))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := other.DeletePackage("team", "generic", "tool", "1.1.0"); err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("deleting without the right: %v", err)
	}
}
