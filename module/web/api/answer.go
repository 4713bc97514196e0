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

// stream writes JSON of any length in constant memory.
type stream struct {
	w     http.ResponseWriter
	body  bytes.Buffer
	begun bool
	wrote bool // to the client
	gone  bool // the client
}

// chunk is about how much is written at a time.
const chunk = 32 << 10

// add adds an element of the array.
func (s *stream) add(value any) error {
	s.next()
	return s.put(value)
}

// next comes before each element of the array.
func (s *stream) next() {
	if s.begun {
		s.body.WriteByte(',')
	} else {
		s.body.WriteByte('[')
		s.begun = true
	}
}

// put writes a value.
func (s *stream) put(value any) error { return s.begin(value, "") }

// begin writes a value without its end, which is written later.
func (s *stream) begin(value any, end string) error {
	if err := json.NewEncoder(&s.body).Encode(value); err != nil {
		return err
	}
	s.body.Truncate(s.body.Len() - len(end+"\n"))
	if s.body.Len() >= chunk {
		s.flush()
	}
	return nil
}

// end ends the array.
func (s *stream) end() {
	if !s.begun {
		s.body.WriteByte('[')
	}
	s.body.WriteByte(']')
	s.finish()
}

// finish writes what is left.
func (s *stream) finish() {
	s.body.WriteByte('\n')
	s.flush()
}

func (s *stream) flush() {
	if !s.gone {
		_, err := s.body.WriteTo(s.w)
		s.wrote, s.gone = true, err != nil
	}
	s.body.Reset()
}

// failed is the error of a wing that cannot go on: what the client has is not the whole.
func (s *stream) failed(err error) error {
	if s.wrote {
		return &visit.BrokenOff{Err: err}
	}
	return err
}
