package resume

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// TestARefusalShowsNoPath: a file that cannot be removed after a refusal is the server's concern.
// Seen to fail with the text of the whole error.
func TestARefusalShowsNoPath(t *testing.T) {
	why := fmt.Errorf("%w: 5 bytes, now 6", store.ErrLength)
	err := refusal(http.StatusBadRequest, errors.Join(why, &fs.PathError{Op: "remove", Path: "/srv/registry/uploads/1", Err: fs.ErrPermission}), nil)
	var told *visit.Refusal
	if !errors.As(err, &told) || told.Text != why.Error() {
		t.Errorf("got %v, want a refusal that says %q", told, why)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the log gets %v, want what failed besides too", err)
	}
}
