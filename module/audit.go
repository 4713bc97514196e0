package module

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// placeholderPrefix begins the placeholders that the handler sets, for log_append
// and for headers that are set after it: `user`, `token`, `owner`, `package`,
// `version`, `file`, `size`, `digest` and `result`.
const placeholderPrefix = "http.generic_registry."

// record is what a request was about and what became of it.
type record struct {
	route
	who  *identity
	file store.File // what was found or published
	done bool       // whether there is such a file
	err  error      // why the request was refused
}

// newRecord starts the record of a request and lets its placeholders read it.
func newRecord(r *http.Request, rt route, who *identity) *record {
	rec := &record{route: rt, who: who}
	if who.replacer != nil {
		who.replacer.Map(rec.placeholder)
	}
	return rec
}

// found notes the file that a request published or downloads.
func (r *record) found(file store.File) { r.file, r.done = file, true }

// result is "ok", or the text that a refused client sees.
func (r *record) result() string {
	if r.err == nil {
		return "ok"
	}
	_, text := statusOf(r.err)
	return text
}

func (r *record) tokenName() string {
	if r.who.token == nil {
		return ""
	}
	return r.who.token.Name
}

// placeholder implements caddy.ReplacerFunc.
func (r *record) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, placeholderPrefix)
	if !ours {
		return nil, false
	}
	switch name {
	case "user":
		return r.who.user, true
	case "token":
		return r.tokenName(), true
	case "owner":
		return r.Owner, true
	case "package":
		return r.Package, true
	case "version":
		return r.Version, true
	case "file":
		return r.File, true
	case "result":
		return r.result(), true
	}
	if !r.done {
		return "", name == "size" || name == "digest"
	}
	switch name {
	case "size":
		return r.file.Size, true
	case "digest":
		return r.file.Digest.String(), true
	}
	return nil, false
}

// auditChange logs a change, or a change that was refused: one line each.
func (h *Handler) auditChange(r *http.Request, rec *record) {
	message, status := "changed", http.StatusNoContent
	if rec.done {
		status = http.StatusCreated
	}
	if rec.err != nil {
		message = "refused"
		status, _ = statusOf(rec.err)
	}
	fields := []zap.Field{
		zap.String("action", string(actionOf(r.Method))),
		zap.String("result", rec.result()), zap.Int("status", status),
		zap.String("user", rec.who.user), zap.String("token", rec.tokenName()),
		zap.String("owner", rec.Owner), zap.String("package", rec.Package),
		zap.String("version", rec.Version), zap.String("file", rec.File),
		zap.String("remote_addr", r.RemoteAddr), zap.String("client_ip", clientIP(r)),
	}
	if rec.done {
		fields = append(fields, zap.Int64("size", rec.file.Size), zap.Stringer("digest", rec.file.Digest))
	}
	h.audit.Info(message, fields...)
}

// auditLogger is the one logger of the audit, whoever writes to it.
func auditLogger(ctx caddy.Context) *zap.Logger { return ctx.Logger(new(Handler)).Named("audit") }

// clientIP is the client's address as Caddy sees it behind trusted proxies.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

var _ caddy.ReplacerFunc = (*record)(nil).placeholder
