package module

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages"
	"github.com/generic-registry/caddy-generic-registry/module/web/resume"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

func init() { caddy.RegisterModule(&Handler{}) }

// Handler is a registry of generic packages: any file, published, downloaded and
// deleted under an owner, a package name and a version, with the API of Gitea's
// generic package registry.
//
// Requests whose path is not under the prefix go to the next handler. A request that no
// handler behind answers is a 404. Users are those that an authentication handler in front
// of this one found, such as `http.handlers.authentication`. What each user may do is
// decided here. Writes by anonymous users are refused unless a rule says otherwise.
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

	// Who may do what with which owner's packages. An owner without a rule has
	// that of owner `*`; without one, anyone reads and the user of the owner's
	// name writes.
	Owners []access.OwnerRule `json:"owners,omitempty"`

	// Receivers that are told of changes.
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// Users who may do everything everywhere, except exceed quotas. Compared
	// without case.
	Admins []string `json:"admins,omitempty"`

	// For the owners and packages whose rules say nothing of it.
	access.Republishing

	// Where the user is found when no authentication handler named one in
	// `{http.auth.user.id}`: a placeholder of the request, such as
	// `{http.request.tls.client.subject}`. Absent or empty is anonymous, and so is a
	// name with a letter beyond ASCII that case folding makes an ASCII letter.
	// Default: nowhere.
	User *access.Claim `json:"user,omitempty"`

	// Where the user's groups are found, for principals of the form
	// `@group:<name>`: a placeholder of the request, such as
	// `{http.auth.user.roles}`. Its value is a list, or a text in which commas
	// separate the names. In a text of `{http.auth.user.*}` without a comma, white
	// space does. Default: nowhere; users have no groups.
	Groups *access.Claim `json:"groups,omitempty"`

	// The largest file that may be published, in bytes. Zero, the default, is no
	// limit.
	MaxFileSize int64 `json:"max_file_size,omitempty"`

	// The uploads that may be in progress at once, in all; more are answered 503
	// with Retry-After. An upload counts from its first byte on. Zero, the default, is
	// no limit. Sites that share a root share the count. Without MaxUserUploads one
	// user can keep out all others, and a warning says so.
	MaxUploads int `json:"max_uploads,omitempty"`

	// The same for each user. All anonymous uploads count as one user's. Zero, the
	// default, is no limit.
	MaxUserUploads int `json:"max_user_uploads,omitempty"`

	// How long an upload may go without sending anything before it is ended with
	// 408. Zero, the default, leaves it to the server's own `idle_timeout` of
	// reading, one minute unless it is set.
	UploadStallTimeout caddy.Duration `json:"upload_stall_timeout,omitempty"`

	// The bytes per second that must come of an upload, at least; one that comes more
	// slowly is ended with 408. They are compared each time that the registry has
	// waited for bytes of the upload for 30 seconds, or for UploadStallTimeout when
	// that is shorter. Zero, the default, is 1024 (1 KiB); -1 ends no upload.
	UploadLeastRate int64 `json:"upload_least_rate,omitempty"`

	// How uploads may come in several requests, and go on after a cut. Default: all the
	// defaults of its settings.
	Resumable *Resumable `json:"resumable,omitempty"`

	// Which file names may be published: `documented` (the default) for ASCII
	// letters, digits and `.-+_`, or `gitea` for what Gitea accepts since 1.22,
	// which adds `=:;()[]{}~!@#$%^&` and inner spaces.
	FileNames naming.FileNames `json:"file_names,omitempty"`

	// How many bytes per second are read in the background to compare every file's
	// bytes with their digest, once a week. A small file counts as 64 KiB. Zero, the
	// default, is 8388608 (8 MiB), and off where the bytes are on S3, which has its own
	// scrub and a price for each request; -1 turns it off. Handlers with the same root must
	// have the same. It takes effect on a reload.
	ScrubRate int64 `json:"scrub_rate,omitempty"`

	// Whether downloads are compared with their digest as they are sent, so that no
	// client has the whole of a response with wrong bytes: it ends before the last
	// of them. Files up to 256 KiB, and files of which a request wants ranges, are
	// read whole first, and answered 500. It costs hashing every download, the
	// kernel's sending files by itself, and for each request with a range a read of
	// the whole file.
	VerifyReads bool `json:"verify_reads,omitempty"`

	// The path under which `live` and `ready` answer, without authentication,
	// whether files can be read, and published: 200 `ok` or 503 `unavailable`.
	// Compared with case; not under the prefix. Placeholders are replaced when the
	// config is loaded. Default: nowhere. The admin endpoint says more, at
	// `/generic_registry/health`.
	Health string `json:"health,omitempty"`

	// Pages for people, and lists for programs, at the folders under the prefix. Default:
	// none; a folder is 404.
	Browse *Browse `json:"browse,omitempty"`

	// The path that Gitea's JSON API is under, in which programs list, find and delete
	// versions, or `off`. Compared with case; not under the prefix. Placeholders are
	// replaced when the config is loaded. Default: `/api/v1` beside a prefix that ends in
	// `/api/packages`, such as the default one; nowhere for another prefix.
	API string `json:"api,omitempty"`

	// The checksums that are computed beside the files. Default: `SHA256SUMS` of each version,
	// and `<file>.sha256`, `.sha512`, `.sha1` and `.md5` of each file.
	Checksums *files.Checksums `json:"checksums,omitempty"`

	// Versions that only those see who may write them, until they are published whole. Default:
	// on, for seven days each, and 100 of an owner.
	Drafts *files.Drafts `json:"drafts,omitempty"`

	// What may stand in place of the version in the path of a download, where no version has
	// that name: `latest` and `semver`, or `off` alone. Default: both.
	Select files.Selectors `json:"select,omitempty"`

	// Whether versions cannot be downloaded whole, as `?archive=tar` or `?archive=zip`.
	// Default: false.
	ArchiveOff bool `json:"archive_off,omitempty"`

	// Whether the JSON API shows packages as releases too: each owner and package as a
	// repository, each version as a release, for programs that know only those. Default:
	// no.
	Releases bool `json:"releases,omitempty"`

	// `route` has the error routes of the server (handle_errors in a Caddyfile) word the
	// refusals that are for people. Their status and header lines stay. Default: a line of
	// text, or a page with browse.
	Errors string `json:"errors,omitempty"`

	// Whether, and for how long, caches in front may keep files that anyone may read.
	// Default: they ask each time.
	Cache *Cache `json:"cache,omitempty"`

	// Where metadata is kept. Default: `badger`.
	MetadataRaw json.RawMessage `json:"metadata,omitempty" caddy:"namespace=generic_registry.metadata inline_key=module"`

	// Where the files' bytes are kept. Default: `filesystem`.
	BlobsRaw json.RawMessage `json:"blobs,omitempty" caddy:"namespace=generic_registry.blobs inline_key=module"`

	probes   *health.Probes // nil without a health path
	store    pool.Key
	site     visit.Site
	files    files.Files
	pages    *pages.Pages // nil without browse
	api      *api.API
	resume   resume.Resume
	log      *zap.Logger
	stripped sync.Once // the notice that something strips the prefix
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
	h.site.Log, h.site.Audit = h.log, auditLogger(ctx)
	if err := h.provisionSettings(); err != nil {
		return err
	}
	if h.MetadataRaw == nil {
		h.MetadataRaw = pool.DefaultMetadata
	}
	if h.BlobsRaw == nil {
		h.BlobsRaw = pool.DefaultBlobs
	}
	metadata, err := ctx.LoadModule(h, "MetadataRaw")
	if err != nil {
		return fmt.Errorf("loading metadata module: %w", err)
	}
	blobs, err := ctx.LoadModule(h, "BlobsRaw")
	if err != nil {
		return fmt.Errorf("loading blobs module: %w", err)
	}
	if h.ScrubRate == 0 {
		h.ScrubRate = defaultScrub(blobs)
	}
	hooks, err := h.provisionWebhooks(metadata)
	if err != nil {
		return err
	}
	if h.site.Events, err = visit.NewEvents(ctx, h.Root); err != nil {
		return err
	}
	app, err := ctx.App(AppID)
	if err != nil {
		return fmt.Errorf("loading app %s: %w", AppID, err)
	}
	if h.store, err = app.(*App).use(h.Root, metadata.(caddy.Module), blobs.(caddy.Module), h.ScrubRate); err != nil {
		return err
	}
	return app.(*App).serve(h, hooks)
}

// defaultScrub is the rate of the scrub that a blob store has when none is set.
func defaultScrub(blobs any) int64 {
	if backend, ok := blobs.(remote.Unscrubbed); ok && backend.IsUnscrubbed() {
		return scrubOff
	}
	return integrity.DefaultScrubRate
}
