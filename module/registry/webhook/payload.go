package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/gitea"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// The actions of Gitea's event package.
const (
	created = "created"
	deleted = "deleted"
)

// packageType is that of all packages here.
const packageType = "generic"

// payload is the body of a request, as Gitea's of the event package. File is no field of
// Gitea's.
type payload struct {
	Action       string        `json:"action"`
	Repository   *string       `json:"repository"` // there are none
	Package      gitea.Package `json:"package"`
	Organization *string       `json:"organization"` // nor these
	Sender       gitea.User    `json:"sender"`
	// File that was published or deleted. Without it, all of the version was, or of the
	// package.
	File *file `json:"file,omitempty"`
}

type file struct {
	ID     int64  `json:"id,omitempty"`
	Name   string `json:"name"`
	Size   *int64 `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// bodyOf encodes what a hook says of a change, indented as Gitea's.
func bodyOf(hook Hook, action string, change store.Change) ([]byte, error) {
	user := func(name string) gitea.User {
		shown := gitea.NewUser(name)
		if naming.CheckOwner(name) == nil {
			shown.HTMLURL = link(hook.Site, name)
		}
		return shown
	}
	said := payload{
		Action: action,
		Sender: user(change.User),
		Package: gitea.Package{
			ID: change.VersionID, Owner: user(change.Owner), Creator: user(change.User), Type: packageType,
			Name: change.Package, Version: change.Version, CreatedAt: gitea.Time(change.Time),
		},
	}
	said.Package.HTMLURL = link(hook.Site, change.Owner, packageType, change.Package, change.Version)
	if change.File != "" {
		said.File = &file{ID: change.ID, Name: change.File, SHA256: change.Digest}
		if change.Operation == store.OperationPublish {
			said.File.Size = &change.Size
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(said); err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// link returns the URL of a folder's page.
func link(site string, segments ...string) string {
	if site == "" {
		return ""
	}
	var path strings.Builder
	path.WriteString(site)
	for _, segment := range segments {
		if segment != "" {
			path.WriteString("/" + url.PathEscape(segment))
		}
	}
	return path.String() + "/"
}

// deliveryID tells a delivery from every other: the same one each time that it is tried, so
// that a receiver knows one that it has taken already. After a restore, numbers of changes come
// again for other changes, of other times. It is a UUID of version 8 (RFC 9562 section 5.8).
func deliveryID(storeID, hookID string, change store.Change) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", storeID, hookID, change.Sequence, change.Time.UnixNano()))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// setHeader sets the header lines of Gitea, with the names that Gogs and GitHub have too.
func setHeader(header http.Header, id, secret string, body []byte) {
	const event = "package"
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "caddy-generic-registry")
	for _, brand := range []string{"X-Gitea-", "X-Gogs-", "X-Github-"} {
		header.Set(brand+"Delivery", id)
		header.Set(brand+"Event", event)
		header.Set(brand+"Event-Type", event)
	}
	if secret == "" {
		return
	}
	signature := sign(sha256.New, secret, body)
	header.Set("X-Gitea-Signature", signature)
	header.Set("X-Gogs-Signature", signature)
	header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, secret, body))
	header.Set("X-Hub-Signature-256", "sha256="+signature)
}

func sign(hash func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(hash, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
