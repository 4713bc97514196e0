package module

import (
	"bytes"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func refOf(owner, pkg, version, file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: pkg, Version: version}, File: file}
}

func publishSized(t *testing.T, reg *registry.Registry, name string, size int) {
	t.Helper()
	content := registry.Content{Body: bytes.NewReader(make([]byte, size)), Size: int64(size)}
	if _, err := reg.Publish(t.Context(), refOf("o", "p", "1", name), "o", content, registry.Limits{}); err != nil {
		t.Fatal(err)
	}
}
