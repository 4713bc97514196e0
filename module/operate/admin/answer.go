package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// MaxRequest bounds a request, and the text of a refusal.
const MaxRequest = 1 << 20

// withRegistry runs what a request asks on the open registry that it means.
func withRegistry(r *http.Request, do func(pool.Opened) error) error {
	err := pool.Registries.UseRoot(r.Context(), r.URL.Query().Get("root"), do)
	var closed *pool.NotOpen
	switch {
	case errors.Is(err, pool.ErrNoRegistry):
		return refuse(http.StatusNotFound, err)
	case errors.As(err, &closed):
		return &refusal{http.StatusServiceUnavailable, Refused{Text: err.Error(), Code: CodeUnavailable}}
	}
	return err
}

func storeError(err error) error {
	for _, known := range []struct {
		err    error
		status int
		code   string
	}{
		{store.ErrInvalidToken, http.StatusBadRequest, "invalid_token"},
		{store.ErrTokenExists, http.StatusConflict, "token_exists"},
		{store.ErrTokenNotFound, http.StatusNotFound, "token_not_found"},
		{store.ErrNoTokens, http.StatusNotImplemented, "no_tokens"},
		{store.ErrNoJournal, http.StatusNotImplemented, "no_journal"},
		{store.ErrNotContinued, http.StatusConflict, CodeNotContinued},
		{store.ErrBlobNotFound, http.StatusNotFound, CodeNoBlob},
		{store.ErrUnavailable, http.StatusServiceUnavailable, CodeUnavailable}, // damage may be the cause
		{store.ErrDamaged, http.StatusInternalServerError, CodeDamaged},
	} {
		if errors.Is(err, known.err) {
			return &refusal{known.status, Refused{Text: err.Error(), Code: known.code}}
		}
	}
	return refuse(http.StatusInternalServerError, err)
}

// Codes of errors that commands tell apart: store.ErrNotContinued, store.ErrBlobNotFound,
// store.ErrDamaged and store.ErrUnavailable.
const (
	CodeNotContinued = "not_continued"
	CodeNoBlob       = "blob_not_found"
	CodeDamaged      = "damaged"
	CodeUnavailable  = "unavailable"
)

// refusal is an error that the admin endpoint answers.
type refusal struct {
	status int
	Refused
}

// errMethod: the endpoint has another method.
var errMethod = errors.New("method not allowed")

func refuse(status int, err error) error {
	return &refusal{status, Refused{Text: err.Error()}}
}

// answering answers with what a handler refuses: JSON with a text for people and, where a
// program may want to know, a code.
func answering(serve func(http.ResponseWriter, *http.Request) error) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		err := serve(w, r)
		var refused *refusal
		if !errors.As(err, &refused) {
			return err
		}
		log := caddy.Log().Named(string(API{}.CaddyModule().ID))
		log.Warn("refused", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", refused.status), zap.String("error", refused.Text))
		w.Header().Set("Content-Type", JSONType)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(refused.status)
		return json.NewEncoder(w).Encode(refused.Refused)
	})
}

func answerJSON(w http.ResponseWriter, value any) error {
	w.Header().Set("Content-Type", JSONType)
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(value)
}

// Refused is an error that the admin endpoint answered.
type Refused struct {
	// Text is for people, Code for programs.
	Text string `json:"error"`
	Code string `json:"code"`
}

func (e *Refused) Error() string { return e.Text }

// JSONType is the media type of all answers but streams.
const JSONType = "application/json"
