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
	if path.Depth() != len(documentPath) {
		return false // as those of files, without a look at each segment
	}
	segments, err := path.Segments()
	return err == nil && !path.IsFolder() && slices.Equal(segments, documentPath)
}

// describe returns the description of what a site answers, without its servers.
func describe(prefix, path []string, options Options) []byte {
	var document map[string]any
	must(json.Unmarshal(description, &document))
	offered := offeredBy(options, path != nil)
	for group, parts := range document["components"].(map[string]any) {
		for name, part := range parts.(map[string]any) {
			offered.parts["#/components/"+group+"/"+name] = offered.has(part)
		}
	}
	offered.keep(document)
	paths := make(map[string]any)
	for at, operations := range document["paths"].(map[string]any) {
		paths[movedPath(at, prefix, path)] = operations
	}
	document["paths"] = paths
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

// movedPath returns where something is whose default path is described.
func movedPath(at string, prefix, path []string) string {
	if rest, ok := strings.CutPrefix(at, "/api/packages"); ok {
		return joined(prefix) + rest
	}
	if rest, ok := strings.CutPrefix(at, "/api/v1"); ok {
		return joined(path) + rest
	}
	return joined(siteOf(path)) + at
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
