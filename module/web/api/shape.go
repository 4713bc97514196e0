package api

import (
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// The order of the fields is that of Gitea: scripts look for them in the text.

// versionBody is a version.
type versionBody struct {
	ID         int64    `json:"id"`
	Owner      userBody `json:"owner"`
	Repository *string  `json:"repository"` // there are none
	Creator    userBody `json:"creator"`
	Type       string   `json:"type"`
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	HTMLURL    string   `json:"html_url"`
	CreatedAt  string   `json:"created_at"`
}

// userBody is an owner or a user. There is no list of users here, so that most of what
// Gitea tells of one has its zero value.
type userBody struct {
	ID                int64  `json:"id"`
	Login             string `json:"login"`
	LoginName         string `json:"login_name"`
	SourceID          int64  `json:"source_id"`
	FullName          string `json:"full_name"`
	Email             string `json:"email"`
	AvatarURL         string `json:"avatar_url"`
	HTMLURL           string `json:"html_url"`
	Language          string `json:"language"`
	IsAdmin           bool   `json:"is_admin"`
	LastLogin         string `json:"last_login"`
	Created           string `json:"created"`
	Restricted        bool   `json:"restricted"`
	Active            bool   `json:"active"`
	ProhibitLogin     bool   `json:"prohibit_login"`
	Location          string `json:"location"`
	Website           string `json:"website"`
	Description       string `json:"description"`
	Visibility        string `json:"visibility"`
	FollowersCount    int    `json:"followers_count"`
	FollowingCount    int    `json:"following_count"`
	StarredReposCount int    `json:"starred_repos_count"`
	Username          string `json:"username"`
}

// fileBody is a file of a version. A hash that is not known yet is empty.
type fileBody struct {
	ID     int64  `json:"id"`
	Size   int64  `json:"size"`
	Name   string `json:"name"`
	MD5    string `json:"md5"`
	SHA1   string `json:"sha1"`
	SHA256 string `json:"sha256"`
	SHA512 string `json:"sha512"`
}

// shaper makes the bodies of one answer.
type shaper struct {
	visit *visit.Visit
	users map[string]userBody // by name
}

func shaperOf(v *visit.Visit) *shaper { return &shaper{v, make(map[string]userBody)} }

func (s *shaper) version(info store.VersionInfo) versionBody {
	return versionBody{
		ID:        info.ID,
		Owner:     s.user(info.Owner),
		Creator:   s.user(info.Creator),
		Type:      visit.PackageType,
		Name:      info.Package,
		Version:   info.Version,
		HTMLURL:   s.folder(info.Owner, visit.PackageType, info.Package, info.Version),
		CreatedAt: timeText(info.Created),
	}
}

// noTime is what Gitea says of users who have not logged in.
const noTime = "1970-01-01T00:00:00Z"

func (s *shaper) user(name string) userBody {
	if known, ok := s.users[name]; ok {
		return known
	}
	body := userBody{Login: name, Username: name, LastLogin: noTime, Created: noTime, Active: true, Visibility: "private"}
	// Names of users need not be such that an owner can have them.
	if store.CheckOwner(name) == nil {
		body.HTMLURL = s.folder(name)
		if s.visit.PublicExtent(name) == store.ExtentAll {
			body.Visibility = "public"
		}
	}
	s.users[name] = body
	return body
}

// folder returns the URL of a folder's page.
func (s *shaper) folder(segments ...string) string { return s.visit.URL(segments...) + "/" }

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func fileOf(file store.File) fileBody {
	body := fileBody{ID: file.ID, Size: file.Size, Name: file.File, SHA256: file.Digest.String()}
	if file.Hashes.IsKnown() {
		body.MD5, body.SHA1, body.SHA512 = file.Hashes.MD5(), file.Hashes.SHA1(), file.Hashes.SHA512()
	}
	return body
}
