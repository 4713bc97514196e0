package caddyfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// TestAnyHandlerCanBeWritten holds that every configuration of the handler has a
// directive that reads back as just that configuration.
func TestAnyHandlerCanBeWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawHandler(t)
		text := write(want)
		got, err := parseText(text)
		if err != nil {
			t.Fatalf("%v, in:\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, want %+v, from:\n%s", got, want, text)
		}
	})
}

func drawHandler(t *rapid.T) *module.Handler {
	name := rapid.StringMatching(`[A-Za-zÀ-ž0-9{][A-Za-zÀ-ž0-9 {}#.@_-]{0,10}[A-Za-z0-9}]`)
	user := rapid.OneOf(rapid.StringMatching(`[A-Za-zÀ-ž0-9][A-Za-zÀ-ž0-9 #.@_-]{0,10}[A-Za-z0-9]`), rapid.StringMatching(`[a-c]`)).
		Filter(func(s string) bool { return access.CheckUser(s) == nil })
	principal := rapid.OneOf(user, rapid.SampledFrom([]string{"*", "@users", "@owner", "@group:g", "@group:Two Words"}))
	owner := rapid.OneOf(user, rapid.Just("*"))
	rule := rapid.Custom(func(t *rapid.T) access.OwnerRule {
		r := access.OwnerRule{Owner: owner.Draw(t, "owner")}
		r.Permissions = drawPermissions(t, principal, 0)
		r.Republishing = drawRepublishing(t)
		r.Packages = drawPackages(t, principal)
		r.Quota = rapid.Int64Range(0, exact).Draw(t, "quota")
		r.MaxVersions = rapid.Int64Range(0, exact).Draw(t, "max_versions")
		r.MaxFiles = rapid.Int64Range(0, exact).Draw(t, "max_files")
		if r.IsEmpty() {
			r.Quota = 1
		}
		return r
	})

	h := new(module.Handler)
	h.Root = rapid.OneOf(rapid.Just(""), name).Draw(t, "root")
	h.Prefix = rapid.OneOf(rapid.Just(""), rapid.Map(name, func(s string) string { return "/" + s })).Draw(t, "prefix")
	if rules := rapid.SliceOfNDistinct(rule, 0, 4, func(r access.OwnerRule) string { return store.Fold(r.Owner) }).Draw(t, "owners"); len(rules) > 0 {
		h.Owners = rules
	}
	for _, rule := range h.Owners {
		h.Webhooks = append(h.Webhooks, drawWebhooks(t, rule.Owner)...)
	}
	h.Webhooks = append(h.Webhooks, drawWebhooks(t, ownerWithoutRule)...)
	// Without an admin some of what is drawn for the blocks contradicts itself.
	h.Admins = drawNames(t, user, 1, "admins")
	h.Republishing = drawRepublishing(t)
	h.User, h.Groups = drawClaim(t, "user"), drawClaim(t, "groups")
	h.MaxFileSize = rapid.Int64Range(0, exact).Draw(t, "max_file_size")
	h.MaxUploads = rapid.IntRange(0, 1000).Draw(t, "max_uploads")
	h.MaxUserUploads = rapid.IntRange(0, 1000).Draw(t, "max_user_uploads")
	h.UploadStallTimeout = caddy.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "upload_stall_timeout"))
	h.ScrubRate = rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(0, exact)).Draw(t, "scrub")
	h.UploadLeastRate = rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(0, exact)).Draw(t, "upload_least_rate")
	switch rapid.IntRange(0, 2).Draw(t, "resumable") {
	case 1:
		h.Resumable = &module.Resumable{Off: true}
	case 2:
		h.Resumable = &module.Resumable{
			MaxAppend: rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(0, exact)).Draw(t, "max_append"),
			TTL:       caddy.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "ttl")),
			Max:       rapid.IntRange(0, 1000).Draw(t, "max"),
			MaxUser:   rapid.IntRange(0, 1000).Draw(t, "max_user"),
		}
	}
	h.VerifyReads = rapid.Bool().Draw(t, "verify_reads")
	h.Health = rapid.OneOf(rapid.Just(""), rapid.Map(name, func(s string) string { return "/" + s })).Draw(t, "health")
	h.API = rapid.SampledFrom([]string{"", "off", "/v1"}).Draw(t, "api")
	h.Releases = h.API == "/v1" && rapid.Bool().Draw(t, "releases")
	h.Errors = rapid.SampledFrom([]string{"", module.ErrorsRoute}).Draw(t, "errors")
	if rapid.Bool().Draw(t, "cache") {
		h.Cache = &module.Cache{MaxAge: caddy.Duration(time.Duration(rapid.IntRange(0, 1_000_000).Draw(t, "max age")) * time.Second)}
	}
	h.FileNames = rapid.SampledFrom([]naming.FileNames{"", naming.Documented, naming.Gitea}).Draw(t, "file_names")
	return h
}

// exact is the largest size that survives: sizes are read as float64, exact up to
// 53 bits.
const exact = 1 << 52

func drawPermissions(t *rapid.T, principal *rapid.Generator[string], fewest int) (p access.Permissions) {
	p.Read = drawNames(t, principal, fewest, "read")
	p.Write = drawNames(t, principal, 0, "write")
	p.Delete = drawNames(t, principal, 0, "delete")
	return p
}

func drawRepublishing(t *rapid.T) access.Republishing {
	yes, no := true, false
	return access.Republishing{
		OnDuplicate: rapid.SampledFrom([]access.OnDuplicate{"", access.OnDuplicateReject, access.OnDuplicateSame, access.OnDuplicateReplace}).Draw(t, "on_duplicate"),
		Immutable:   rapid.SampledFrom([]*bool{nil, &yes, &no}).Draw(t, "immutable"),
	}
}

// ownerWithoutRule has webhooks, and nothing else.
const ownerWithoutRule = "without a rule"

func drawWebhooks(t *rapid.T, owner string) (hooks []module.Webhook) {
	for i := range rapid.IntRange(0, 2).Draw(t, "webhooks") {
		hooks = append(hooks, module.Webhook{
			Owner: owner, URL: fmt.Sprintf("https://example.com/%d?a=b", i),
			Secret:       rapid.SampledFrom([]string{"", "secret", "{env.SECRET}"}).Draw(t, "secret"),
			Events:       rapid.SampledFrom([][]string{nil, {"created"}, {"deleted", "created"}}).Draw(t, "events"),
			Site:         rapid.SampledFrom([]string{"", "https://example.com"}).Draw(t, "site"),
			AllowPrivate: rapid.Bool().Draw(t, "allow_private"),
			MaxAge:       caddy.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "max_age")),
			MaxBehind:    rapid.IntRange(0, 1000).Draw(t, "max_behind"),
		})
	}
	return hooks
}

func drawPackages(t *rapid.T, principal *rapid.Generator[string]) (packages []access.PackageRule) {
	for range rapid.IntRange(0, 2).Draw(t, "packages") {
		packages = append(packages, access.PackageRule{
			Package:     rapid.StringMatching(`[a-z*?.]{1,6}`).Draw(t, "package"),
			Permissions: drawPermissions(t, principal, 1), Republishing: drawRepublishing(t),
		})
	}
	return packages
}

func drawClaim(t *rapid.T, label string) *access.Claim {
	return rapid.SampledFrom([]*access.Claim{
		nil, {Placeholder: "{http.vars.x}", Trusted: true}, {Placeholder: "{http.auth.user.id}"}, {Placeholder: "{http.request.header.X}", Trusted: true}, {Placeholder: "{http.auth.user.x}", Trusted: true},
	}).Draw(t, label)
}

func drawNames(t *rapid.T, name *rapid.Generator[string], fewest int, label string) []string {
	names := rapid.SliceOfNDistinct(name, fewest, 4, store.Fold).Draw(t, label)
	if len(names) == 0 {
		return nil
	}
	return names
}

// write returns what follows the directive's name for a handler.
func write(h *module.Handler) string {
	var text strings.Builder
	line := func(word string, values ...string) {
		if len(values) == 0 || values[0] == "" {
			return
		}
		fmt.Fprintf(&text, "\t%s", word)
		for _, value := range values {
			fmt.Fprintf(&text, " `%s`", value)
		}
		text.WriteString("\n")
	}
	limit := func(word string, value int64) {
		if value > 0 {
			line(word, fmt.Sprint(value))
		}
	}
	permissions := func(p access.Permissions) {
		line("read", p.Read...)
		line("write", p.Write...)
		line("delete", p.Delete...)
	}
	republishing := func(r access.Republishing) {
		line("on_duplicate", string(r.OnDuplicate))
		switch {
		case r.Immutable == nil:
		case *r.Immutable:
			text.WriteString("\timmutable\n")
		default:
			line("immutable", "off")
		}
	}
	claim := func(word string, c *access.Claim) {
		switch {
		case c == nil:
		case c.Trusted:
			line(word, "trusted", c.Placeholder)
		default:
			line(word, c.Placeholder)
		}
	}
	text.WriteString(" {\n")
	line("root", h.Root)
	line("prefix", h.Prefix)
	webhooks := func(owner string) {
		for _, hook := range h.Webhooks {
			if hook.Owner != owner {
				continue
			}
			fmt.Fprintf(&text, "webhook `%s` {\n", hook.URL)
			line("secret", hook.Secret)
			line("events", hook.Events...)
			line("site", hook.Site)
			if hook.AllowPrivate {
				text.WriteString("allow_private\n")
			}
			if hook.MaxAge > 0 {
				line("max_age", time.Duration(hook.MaxAge).String())
			}
			limit("max_behind", int64(hook.MaxBehind))
			text.WriteString("}\n")
		}
	}
	for _, rule := range h.Owners {
		fmt.Fprintf(&text, "owner `%s` {\n", rule.Owner)
		permissions(rule.Permissions)
		republishing(rule.Republishing)
		limit("quota", rule.Quota)
		limit("max_versions", rule.MaxVersions)
		limit("max_files", rule.MaxFiles)
		for _, narrowed := range rule.Packages {
			fmt.Fprintf(&text, "package `%s` {\n", narrowed.Package)
			permissions(narrowed.Permissions)
			republishing(narrowed.Republishing)
			text.WriteString("}\n")
		}
		webhooks(rule.Owner)
		text.WriteString("}\n")
	}
	if n := len(h.Webhooks); n > 0 && h.Webhooks[n-1].Owner == ownerWithoutRule {
		text.WriteString("owner `" + ownerWithoutRule + "` {\n")
		webhooks(ownerWithoutRule)
		text.WriteString("}\n")
	}
	line("admin", h.Admins...)
	republishing(h.Republishing)
	claim("user", h.User)
	claim("groups", h.Groups)
	limit("max_file_size", h.MaxFileSize)
	limit("max_uploads", int64(h.MaxUploads))
	limit("max_user_uploads", int64(h.MaxUserUploads))
	if h.UploadStallTimeout > 0 {
		line("upload_stall_timeout", time.Duration(h.UploadStallTimeout).String())
	}
	limit("upload_least_rate", h.UploadLeastRate)
	if h.UploadLeastRate < 0 {
		line("upload_least_rate", "off")
	}
	switch r := h.Resumable; {
	case r == nil:
	case r.Off:
		line("resumable", "off")
	default:
		text.WriteString("resumable {\n")
		limit("max_append", r.MaxAppend)
		if r.MaxAppend < 0 {
			line("max_append", "off")
		}
		if r.TTL > 0 {
			line("ttl", time.Duration(r.TTL).String())
		}
		limit("max", int64(r.Max))
		limit("max_user", int64(r.MaxUser))
		text.WriteString("}\n")
	}
	line("file_names", string(h.FileNames))
	line("errors", h.Errors)
	if c := h.Cache; c != nil && c.MaxAge == 0 {
		line("cache", "public")
	} else if c != nil {
		line("cache", "public", time.Duration(c.MaxAge).String())
	}
	limit("scrub", h.ScrubRate)
	if h.ScrubRate < 0 {
		line("scrub", "off")
	}
	if h.VerifyReads {
		text.WriteString("\tverify_reads\n")
	}
	line("health", h.Health)
	line("api", h.API)
	if h.Releases {
		text.WriteString("\treleases\n")
	}
	text.WriteString("}\n")
	return text.String()
}
