package store

import "testing"

func TestIdentityIgnoresCase(t *testing.T) {
	r := Ref{VersionRef: VersionRef{Owner: "Alice", Package: "PKG", Version: "V1-É"}, File: "File.TXT"}
	want := Ref{VersionRef: VersionRef{Owner: "alice", Package: "pkg", Version: "v1-é"}, File: "file.txt"}
	if got := r.Key(); got != want {
		t.Errorf("key is %v", got)
	}
}
