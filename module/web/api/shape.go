package api

import (
	"github.com/generic-registry/caddy-generic-registry/module/gitea"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

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
	users map[string]gitea.User // by name
}

func shaperOf(v *visit.Visit) *shaper { return &shaper{v, make(map[string]gitea.User)} }

func (s *shaper) version(info store.VersionInfo) gitea.Package {
	return gitea.Package{
		ID:        info.ID,
		Owner:     s.user(info.Owner),
		Creator:   s.user(info.Creator),
		Type:      visit.PackageType,
		Name:      info.Package,
		Version:   info.Version,
		HTMLURL:   s.folder(info.Owner, visit.PackageType, info.Package, info.Version),
		CreatedAt: gitea.Time(info.Created),
	}
}

func (s *shaper) user(name string) gitea.User {
	if known, ok := s.users[name]; ok {
		return known
	}
	body := gitea.NewUser(name)
	// Names of users need not be such that an owner can have them.
	if naming.CheckOwner(name) == nil {
		body.HTMLURL = s.folder(name)
		if s.visit.PublicExtent(name) == grant.ExtentAll {
			body.Visibility = "public"
		}
	}
	s.users[name] = body
	return body
}

// folder returns the URL of a folder's page.
func (s *shaper) folder(segments ...string) string { return s.visit.URL(segments...) + "/" }

func fileOf(file store.File) fileBody {
	body := fileBody{ID: file.ID, Size: file.Size, Name: file.File, SHA256: file.Digest.String()}
	if file.Hashes.IsKnown() {
		body.MD5, body.SHA1, body.SHA512 = file.Hashes.MD5(), file.Hashes.SHA1(), file.Hashes.SHA512()
	}
	return body
}
