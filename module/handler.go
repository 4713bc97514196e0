package module

import (
	"encoding/json"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Handler is a registry of generic packages: any file, published, downloaded and
// deleted under an owner, a package name and a version, with the API of Gitea's
// generic package registry.
//
// Requests whose path is not under the prefix go to the next handler. Users are
// those that an authentication handler in front of it found, such as
// `http.handlers.authentication`; what each may do is decided here. Writes by
// anonymous users are refused unless a rule says otherwise.
type Handler struct {
	// The directory that the default stores use: metadata in `metadata` and bytes
	// in `blobs` below it. Placeholders are replaced when the config is loaded. A
	// relative path is relative to the working directory. Default:
	// `generic_registry` in Caddy's data directory. Handlers with the same root
	// share one store; two processes cannot.
	Root string `json:"root,omitempty"`

	// The path that the API is under, compared with case. Placeholders are
	// replaced when the config is loaded. Default: `/api/packages`. `/` serves it
	// from the top.
	Prefix string `json:"prefix,omitempty"`

	// Who may read and write which owner's packages. An owner without a rule has
	// that of owner `*`; without one, anyone reads and the user of the owner's
	// name writes.
	Owners []OwnerRule `json:"owners,omitempty"`

	// Users who may read and write everywhere. Compared without case.
	Admins []string `json:"admins,omitempty"`

	// The largest file that may be published, in bytes. Zero, the default, is no
	// limit.
	MaxFileSize int64 `json:"max_file_size,omitempty"`

	// Which file names may be published: `documented` (the default) for ASCII
	// letters, digits and `.-+_`, or `gitea` for what Gitea accepts since 1.22,
	// which adds `=:;()[]{}~!@#$%^&` and inner spaces.
	FileNames registry.FileNames `json:"file_names,omitempty"`

	// Where metadata is kept. Default: `badger`.
	MetadataRaw json.RawMessage `json:"metadata,omitempty" caddy:"namespace=generic_registry.metadata inline_key=module"`

	// Where the files' bytes are kept. Default: `filesystem`.
	BlobsRaw json.RawMessage `json:"blobs,omitempty" caddy:"namespace=generic_registry.blobs inline_key=module"`
}

// OwnerRule says who may read and write the packages of one owner.
//
// A principal is a user name, compared without case; `*` for anyone, anonymous
// included; `@users` for any authenticated user; or `@owner` for the user of the
// owner's name.
type OwnerRule struct {
	// The owner that the rule is for, compared without case, or `*` for every
	// owner that has no rule of its own. Required; each owner at most once.
	Owner string `json:"owner"`

	// The principals who may read. Default: those of the rule of owner `*`;
	// without that, `*`. Whoever may write may read.
	Read []string `json:"read,omitempty"`

	// The principals who may write, that is publish and delete. Default: those of
	// the rule of owner `*`; without that, `@owner`.
	Write []string `json:"write,omitempty"`
}
