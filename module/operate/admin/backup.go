package admin

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	BackupPath = "/backup"

	// Query parameters of a backup.
	ParameterSince       = "since"
	ParameterChain       = "chain"
	ParameterSkipDamaged = "skip_damaged"
	ParameterTold        = "told"
	ParameterNoBytes     = "without_bytes"

	BackupType   = "application/x-tar"
	streamBuffer = 256 << 10

	// streamStall is how long a client of a stream may read nothing. A backup that
	// nobody reads must not keep deleted bytes for ever.
	streamStall = 10 * time.Minute
)

// serveBackup streams a backup. When it fails on its way the connection is cut: the
// client sees a stream without an end.
func serveBackup(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	options, err := parseBackupOptions(r.URL.Query())
	if err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	return withRegistry(r, func(reg pool.Opened) error {
		out := newStream(w, BackupType)
		buffer := bufio.NewWriterSize(out, streamBuffer)
		_, err := backup.Make(r.Context(), reg.Registry, options, buffer)
		if err != nil && !out.begun {
			return storeError(err)
		}
		if flushErr := buffer.Flush(); err == nil {
			err = flushErr
		}
		return out.end(r, err)
	})
}

func parseBackupOptions(query url.Values) (options backup.Options, err error) {
	if text := query.Get(ParameterSince); text != "" {
		if options.Since.Sequence, err = strconv.ParseUint(text, 10, 64); err != nil {
			return options, fmt.Errorf("%s: %w", ParameterSince, err)
		}
	}
	if text := query.Get(ParameterChain); text != "" {
		if options.Since.Chain, err = store.ParseDigest(text); err != nil {
			return options, fmt.Errorf("%s: %w", ParameterChain, err)
		}
	}
	for name, option := range map[string]*bool{
		ParameterSkipDamaged: &options.SkipDamaged, ParameterTold: &options.Told, ParameterNoBytes: &options.WithoutBytes,
	} {
		if text := query.Get(name); text != "" {
			if *option, err = strconv.ParseBool(text); err != nil {
				return options, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return options, nil
}

// stream is an answer that may take hours: none of the admin server's timeouts cuts
// it as long as the client reads.
type stream struct {
	w           http.ResponseWriter
	control     *http.ResponseController
	contentType string
	begun       bool
}

func newStream(w http.ResponseWriter, contentType string) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), contentType: contentType}
	// The server's deadline for reading the request would end its context. It cannot
	// be unset only where there is none.
	_ = s.control.SetReadDeadline(time.Time{})
	return s
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", s.contentType)
		s.w.Header().Set("Cache-Control", "no-store")
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(streamStall)) // as above
	return s.w.Write(p)
}

// end ends the answer, by cutting the connection when err is one.
func (s *stream) end(r *http.Request, err error) error {
	if err == nil {
		return nil
	}
	log := caddy.Log().Named(string(API{}.CaddyModule().ID)).With(zap.String("path", r.URL.Path), zap.Error(err))
	if r.Context().Err() != nil {
		log.Warn("the client has gone before the end of the answer")
	} else {
		log.Error("the answer is cut")
	}
	_ = s.control.Flush() // what was said so far
	panic(http.ErrAbortHandler)
}
