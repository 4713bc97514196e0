package module

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func init() { caddy.RegisterModule(&Handler{}) }

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

	prefix    []string
	access    *access
	crossSite *http.CrossOriginProtection
	store     storeKey
	log       *zap.Logger
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

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.generic_registry",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision implements caddy.Provisioner. It opens no store: the app does when it
// starts, so that validating a configuration touches nothing.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	h.crossSite = http.NewCrossOriginProtection()
	if err := h.provisionSettings(); err != nil {
		return err
	}
	if h.MetadataRaw == nil {
		h.MetadataRaw = defaultMetadata
	}
	if h.BlobsRaw == nil {
		h.BlobsRaw = defaultBlobs
	}
	metadata, err := ctx.LoadModule(h, "MetadataRaw")
	if err != nil {
		return fmt.Errorf("loading metadata module: %w", err)
	}
	blobs, err := ctx.LoadModule(h, "BlobsRaw")
	if err != nil {
		return fmt.Errorf("loading blobs module: %w", err)
	}
	app, err := ctx.App(AppID)
	if err != nil {
		return fmt.Errorf("loading app %s: %w", AppID, err)
	}
	h.store, err = app.(*App).use(h.Root, metadata.(caddy.Module), blobs.(caddy.Module))
	return err
}

// provisionSettings fills in defaults and compiles what requests need.
func (h *Handler) provisionSettings() error {
	replacer := caddy.NewReplacer()
	root, err := replacer.ReplaceOrErr(h.Root, true, true)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if root == "" {
		root = defaultRoot()
	}
	if h.Root, err = filepath.Abs(root); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if h.Prefix, err = replacer.ReplaceOrErr(h.Prefix, true, true); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if h.Prefix == "" {
		h.Prefix = defaultPrefix
	}
	if h.prefix, err = parsePrefix(h.Prefix); err != nil {
		return err
	}
	if h.FileNames == "" {
		h.FileNames = defaultFileNames
	}
	if h.FileNames != registry.FileNamesDocumented && h.FileNames != registry.FileNamesGitea {
		return fmt.Errorf("file_names is %q: write %s or %s", h.FileNames, registry.FileNamesDocumented, registry.FileNamesGitea)
	}
	if h.MaxFileSize < 0 {
		return fmt.Errorf("max_file_size is %d: write a number of bytes, or leave it out for no limit", h.MaxFileSize)
	}
	if h.access, err = compileAccess(h.Owners, h.Admins); err != nil {
		return err
	}
	for _, owner := range h.access.openWrites() {
		h.log.Warn("anyone may publish and delete, without authentication", zap.String("owner", owner))
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
