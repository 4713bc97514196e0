package visit

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// placeholderPrefix begins the placeholders that the handler sets, for log_append
// and for headers that are set after it: `user`, `token`, `owner`, `package`,
// `version`, `file`, `size`, `digest` and `result`.
const placeholderPrefix = "http.generic_registry."

// Found notes the file that a request published or downloads, for the audit log and for
// placeholders.
func (v *Visit) Found(file store.File) { v.file, v.found = file, true }

// Published notes the file that a request published, and the one that had the name before,
// if any: it is the same one where the bytes are the same.
func (v *Visit) Published(file store.File, before *store.File) {
	v.Found(file)
	switch {
	case before == nil:
	case before.ID == file.ID:
		v.republished = republishedSame
	default:
		v.republished = "replaced"
	}
}

// republishedSame: the bytes that came were those that the file had.
const republishedSame = "same"

// Answered notes the status of a change that was made, where it is not 201 with a file that
// was found and 204 without one.
func (v *Visit) Answered(status int) { v.status = status }

// result is "ok", or the first line of the text that a refused client sees.
func (v *Visit) result() string {
	if v.err == nil {
		return "ok"
	}
	_, text, _ := statusOf(v.err)
	first, _, _ := strings.Cut(text, "\n")
	return first
}

func (v *Visit) tokenName() string {
	if v.who.token == nil {
		return ""
	}
	return v.who.token.Name
}

// placeholder implements caddy.ReplacerFunc.
func (v *Visit) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, placeholderPrefix)
	if !ours {
		return nil, false
	}
	switch name {
	case "user":
		return v.who.user, true
	case "token":
		return v.tokenName(), true
	case "owner":
		return v.About.Owner, true
	case "package":
		return v.About.Package, true
	case "version":
		return v.About.Version, true
	case "file":
		return v.About.File, true
	case "result":
		return v.result(), true
	}
	if !v.found {
		return "", name == "size" || name == "digest"
	}
	switch name {
	case "size":
		return v.file.Size, true
	case "digest":
		return v.file.Digest.String(), true
	}
	return nil, false
}

// isPart tells whether a request brought a part of a file, or gave an upload up: then nothing
// was published.
func (v *Visit) isPart() bool {
	return v.action == grant.Write && v.About.File != "" && !v.found && v.err == nil
}

// auditChange logs a change, or a change that was refused: one line each.
func (v *Visit) auditChange() {
	if v.action == grant.Read || v.isPart() {
		return
	}
	message, status := "changed", http.StatusNoContent
	if v.found {
		status = http.StatusCreated
	}
	status = cmp.Or(v.status, status)
	if v.err != nil {
		message = "refused"
		status, _, _ = statusOf(v.err)
	}
	fields := []zap.Field{
		zap.String("action", string(v.action)),
		zap.String("result", v.result()), zap.Int("status", status),
		zap.String("user", v.who.user), zap.String("token", v.tokenName()),
		zap.String("owner", v.About.Owner), zap.String("package", v.About.Package),
		zap.String("version", v.About.Version), zap.String("file", v.About.File),
		zap.String("remote_addr", v.request.RemoteAddr), zap.String("client_ip", ClientIP(v.request)),
	}
	if v.found {
		fields = append(fields, zap.Int64("size", v.file.Size), zap.Stringer("digest", v.file.Digest))
	}
	if v.republished != "" {
		fields = append(fields, zap.String("republished", v.republished))
	}
	v.site.Audit.Info(message, fields...)
}

// ClientIP is the client's address as Caddy sees it behind trusted proxies.
func ClientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

var _ caddy.ReplacerFunc = (*Visit)(nil).placeholder
