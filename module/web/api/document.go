package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// description is of all APIs at their default paths (OpenAPI 3.1).
//
//go:embed openapi.json
var description []byte

// documentPath is where, below the prefix, all APIs are described.
var documentPath = []string{"-", "openapi.json"}

// IsDocument tells whether a path, below the prefix, is the description's.
func IsDocument(path visit.Path) bool {
	segments, err := path.Segments()
	return err == nil && !path.IsFolder() && slices.Equal(segments, documentPath)
}

// describe returns the description of the APIs that there are, without its servers.
func describe(prefix, path []string, releases bool) []byte {
	var document map[string]json.RawMessage
	var described map[string]json.RawMessage
	must(json.Unmarshal(description, &document))
	must(json.Unmarshal(document["paths"], &described))
	paths := make(map[string]json.RawMessage)
	for at, operations := range described {
		if moved, served := movedPath(at, prefix, path, releases); served {
			paths[moved] = operations
		}
	}
	var err error
	document["paths"], err = json.Marshal(paths)
	must(err)
	encoded, err := json.Marshal(document)
	must(err)
	return encoded
}

// must is for what is in the program itself, and was tested.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// movedPath returns where something is whose default path is described, if at all.
func movedPath(at string, prefix, path []string, releases bool) (moved string, served bool) {
	if rest, ok := strings.CutPrefix(at, "/api/packages"); ok {
		return joined(prefix) + rest, true
	}
	isRelease := strings.HasPrefix(at, "/attachments") || strings.HasPrefix(at, "/api/v1/repos")
	if path == nil || isRelease && !releases {
		return "", false
	}
	if rest, ok := strings.CutPrefix(at, "/api/v1"); ok {
		return joined(path) + rest, true
	}
	return joined(siteOf(path)) + at, true
}

// joined is an escaped path.
func joined(segments []string) string {
	var path strings.Builder
	for _, segment := range segments {
		path.WriteString("/" + url.PathEscape(segment))
	}
	return path.String()
}

// serveDocument answers with a description, whose paths are below what the client sees of
// the site.
func serveDocument(encoded []byte) wing {
	return func(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return visit.MethodNotAllowed("GET, HEAD")
		}
		base, err := json.Marshal(v.Base())
		if err != nil {
			return err
		}
		body := bytes.Join([][]byte{[]byte(`{"servers":[{"url":`), base, []byte(`}],`), encoded[1:], []byte("\n")}, nil)
		setHeader(w.Header())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // the client may be gone
		}
		return nil
	}
}
