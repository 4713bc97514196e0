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

// Handler is a registry of generic packages. Clients publish, download and delete any file
// under an owner, a package name and a version. The API is that of Gitea's generic package
// registry.
//
// Requests whose path is not under the prefix go to the next handler. A request that no
// handler behind answers is a 404. An authentication handler in front of this one finds the
// user, such as `http.handlers.authentication`. This handler decides what each user may do.
// It refuses writes by anonymous users unless a rule allows them.
type Handler struct {
	// The directory that the default stores use: metadata in `metadata` and bytes
	// in `blobs` below it. Placeholders are replaced when the config is loaded. A
	// relative path is relative to the working directory. Default:
	// `generic_registry` in Caddy's data directory. Handlers with the same root
	// share one registry; two processes cannot open it.
	Root string `json:"root,omitempty"`

	// The path that the API is under. Upper and lower case differ. Placeholders are
	// replaced when the config is loaded. Default: `/api/packages`. With `/` the API is
	// at the top of the site.
	Prefix string `json:"prefix,omitempty"`

	// Who may do what with the packages of which owner. The rule of owner `*` is for
	// owners without a rule. Default: anyone may read, and the user whose name is that of
	// the owner may write.
	Owners []access.OwnerRule `json:"owners,omitempty"`

	// URLs that get a request for each change. Default: none.
	Webhooks []Webhook `json:"webhooks,omitempty"`

	// Users who may do everything everywhere, but not exceed quotas. Names that differ
	// only in case are the same name. Default: none.
	Admins []string `json:"admins,omitempty"`

	// What holds for owners and packages whose rules do not say it.
	access.Republishing

	// The placeholder of the request that contains the user, such as
	// `{http.request.tls.client.subject}`, for requests in which no authentication handler
	// has set `{http.auth.user.id}`. A request without a value is anonymous. So is a
	// request whose user has a letter beyond ASCII that becomes an ASCII letter when case
	// is ignored. Default: none.
	User *access.Claim `json:"user,omitempty"`

	// The placeholder of the request that contains the groups of the user, such as
	// `{http.auth.user.roles}`, for principals of the form `@group:<name>`. The value is
	// a list, or a text in which commas separate the names. In a text of
	// `{http.auth.user.*}` without a comma, white space separates the names. Default:
	// none; users have no groups.
	Groups *access.Claim `json:"groups,omitempty"`

	// The largest file that may be published, in bytes. Zero, the default, is no
	// limit.
	MaxFileSize int64 `json:"max_file_size,omitempty"`

	// The number of uploads that may be in progress, in all; more are answered 503
	// with Retry-After. An upload counts from its first byte on. Zero, the default, is
	// no limit. Sites that share a root share the count. Without MaxUserUploads one
	// user can keep all others from publishing, and a warning says so.
	MaxUploads int `json:"max_uploads,omitempty"`

	// The number of uploads that each user may have in progress. All anonymous clients
	// count as one user. Zero, the default, is no limit.
	MaxUserUploads int `json:"max_user_uploads,omitempty"`

	// How long an upload may send nothing before it is ended with 408. Zero, the default,
	// means the `read_idle_timeout` of the server, which is one minute unless it is set.
	// Another value replaces that of the server, and of Caddy's handler `timeouts`.
	UploadStallTimeout caddy.Duration `json:"upload_stall_timeout,omitempty"`

	// The bytes per second that an upload must send at least; a slower upload is ended
	// with 408. The registry compares the rate each time that it has waited for bytes of
	// the upload for UploadStallTimeout, or for 30 seconds when that is not set. Zero, the
	// default, is 1024 (1 KiB); -1 ends no upload.
	UploadLeastRate int64 `json:"upload_least_rate,omitempty"`

	// The limits of uploads that come in several requests. Default: the defaults of
	// Resumable.
	Resumable *Resumable `json:"resumable,omitempty"`

	// Which characters file names may have: `documented` (the default) for ASCII
	// letters, digits and `.-+_`, or `gitea` for the characters that Gitea accepts since
	// 1.22, which are also `=:;()[]{}~!@#$%^&` and spaces inside the name.
	FileNames naming.FileNames `json:"file_names,omitempty"`

	// The bytes per second that the scrub reads in the background to compare every file
	// with its digest, once a week. A small file counts as 64 KiB. Zero, the default, is
	// 8388608 (8 MiB); -1 turns the scrub off. With bytes on S3, zero turns it off too,
	// because S3 has its own scrub and each request costs money. Handlers with the same
	// root must have the same rate. It takes effect on a reload.
	ScrubRate int64 `json:"scrub_rate,omitempty"`

	// Whether downloads are compared with their digest while they are sent. A response
	// with wrong bytes ends before its last bytes, so that no client gets all of it. Files
	// of up to 256 KiB, and files of which a request wants ranges, are read whole first,
	// and are answered 500 when their bytes are wrong. The price: every download is
	// hashed, the kernel does not send files by itself, and each request with a range
	// reads the whole file. Default: false.
	VerifyReads bool `json:"verify_reads,omitempty"`

	// The path under which `live` tells anyone whether files can be downloaded, and
	// `ready` whether files can be published too: 200 `ok` or 503 `unavailable`. Upper and
	// lower case differ. The path is not under the prefix, and not one of the JSON API.
	// Placeholders are replaced when the config is loaded. Default: none. The admin
	// endpoint says more, at `/generic_registry/health`.
	Health string `json:"health,omitempty"`

	// Pages for people, and lists for programs, at the folders under the prefix. Default:
	// none; a folder is 404.
	Browse *Browse `json:"browse,omitempty"`

	// The path of Gitea's JSON API, with which programs list, find and delete versions, or
	// `off`. Upper and lower case differ. The path is not under the prefix. Placeholders
	// are replaced when the config is loaded. Default: `/api/v1` with a prefix that ends in
	// `/api/packages`, such as the default prefix; with another prefix, no JSON API.
	API string `json:"api,omitempty"`

	// The checksums that the registry computes. Default: `SHA256SUMS` of each version, and
	// `<file>.sha256`, `.sha512`, `.sha1` and `.md5` of each file.
	Checksums *files.Checksums `json:"checksums,omitempty"`

	// Drafts: versions that only writers of the package see, until all files are published
	// together. Default: on, seven days for each draft, 100 drafts for each owner.
	Drafts *files.Drafts `json:"drafts,omitempty"`

	// What a client may write in place of the version in the path of a download: `latest`
	// and `semver`, or `off` alone. A version of that name comes first. Default: both.
	Select files.Selectors `json:"select,omitempty"`

	// Whether `?archive=tar` and `?archive=zip`, which download all files of a version as
	// one archive, are turned off. Default: false.
	ArchiveOff bool `json:"archive_off,omitempty"`

	// Whether the JSON API shows packages as releases too, for programs that know only
	// releases: each owner and package as a repository, each version as a release.
	// Default: false.
	Releases bool `json:"releases,omitempty"`

	// With `route`, the error routes of the server (handle_errors in a Caddyfile) write the
	// bodies of refusals that people read. The status and the header of a refusal stay.
	// Default: a line of text, or with browse a page.
	Errors string `json:"errors,omitempty"`

	// Whether, and for how long, caches in front may keep files that anyone may read.
	// Default: caches ask each time.
	Cache *Cache `json:"cache,omitempty"`

	// The metadata store. Default: `badger`.
	MetadataRaw json.RawMessage `json:"metadata,omitempty" caddy:"namespace=generic_registry.metadata inline_key=module"`

	// The blob store, which keeps the bytes of files. Default: `filesystem`.
	BlobsRaw json.RawMessage `json:"blobs,omitempty" caddy:"namespace=generic_registry.blobs inline_key=module"`

	probes   *health.Probes // nil without a health path
	store    pool.Key
	site     visit.Site
	files    files.Files
	pages    *pages.Pages // nil without browse
	api      *api.API
	resume   resume.Resume
	log      *zap.Logger
	stripped sync.Once // guards the warning that something strips the prefix
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
	h.site.Registry = h.store
	return app.(*App).serve(h, hooks)
}

// defaultScrub is the rate of the scrub that a blob store has when none is set.
func defaultScrub(blobs any) int64 {
	if backend, ok := blobs.(remote.Unscrubbed); ok && backend.IsUnscrubbed() {
		return scrubOff
	}
	return integrity.DefaultScrubRate
}
