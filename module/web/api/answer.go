package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// mediaType is the Content-Type of every answer, to the byte as Gitea has it.
const mediaType = "application/json;charset=utf-8"

// cacheControl is that of every answer, as Gitea has it.
const cacheControl = "max-age=0, private, must-revalidate, no-transform"

// errorBody is what a refused client gets.
type errorBody struct {
	Message string `json:"message"`
	// URL is where the API is described.
	URL string `json:"url"`
}

// errorForm words refusals in JSON.
func errorForm(v *visit.Visit) visit.Form {
	return func(_ int, text string) (contentType, body string) {
		encoded, _ := json.Marshal(errorBody{text, v.URL(documentPath...)}) // strings do not fail
		return mediaType, string(encoded) + "\n"
	}
}

func setHeader(header http.Header) {
	header.Set("Content-Type", mediaType)
	header.Set("Cache-Control", cacheControl)
	header.Set("X-Content-Type-Options", "nosniff")
}

// answer writes a value.
func answer(w http.ResponseWriter, value any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(value); err != nil {
		return err
	}
	setHeader(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = body.WriteTo(w) // the client may be gone
	return nil
}

// stream writes an array of any length in constant memory.
type stream struct {
	w     http.ResponseWriter
	body  bytes.Buffer
	begun bool
	gone  bool // the client
}

// chunk is about how much is written at a time.
const chunk = 32 << 10

// add adds an element.
func (s *stream) add(value any) error {
	if s.begun {
		s.body.WriteByte(',')
	} else {
		s.body.WriteByte('[')
		s.begun = true
	}
	if err := json.NewEncoder(&s.body).Encode(value); err != nil {
		return err
	}
	s.body.Truncate(s.body.Len() - 1) // the line feed
	if s.body.Len() >= chunk {
		s.flush()
	}
	return nil
}

// end writes what is left.
func (s *stream) end() {
	if !s.begun {
		s.body.WriteByte('[')
	}
	s.body.WriteString("]\n")
	s.flush()
}

func (s *stream) flush() {
	if !s.gone {
		_, err := s.body.WriteTo(s.w)
		s.gone = err != nil
	}
	s.body.Reset()
}
