package directory

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func TestFaultsOfOpening(t *testing.T) {
	of := func(err error) error { return fmt.Errorf("opening: %w", &os.PathError{Op: "open", Err: err}) }
	for _, test := range []struct {
		name  string
		err   error
		state bool
		want  error
	}{
		{"a full disk", of(syscall.ENOSPC), true, store.ErrNoSpace},
		{"a quota that is used up", of(syscall.EDQUOT), true, store.ErrNoSpace},
		{"a disk that fails", of(syscall.EIO), true, store.ErrUnavailable},
		{"a disk that is read-only now", of(syscall.EROFS), true, store.ErrUnavailable},
		{"too many open files", of(syscall.EMFILE), true, store.ErrUnavailable},
		{"no permission", of(syscall.EACCES), false, syscall.EACCES},
		{"not permitted", of(syscall.EPERM), false, syscall.EPERM},
		{"a file for a directory", of(syscall.ENOTDIR), false, syscall.ENOTDIR},
		{"damage", store.ErrDamaged, true, store.ErrDamaged},
		{"another process", store.ErrLocked, false, store.ErrLocked},
		{"a newer format", store.ErrFormat, false, store.ErrFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := OpenFault(test.err)
			if store.IsState(got) != test.state || !errors.Is(got, test.want) || !errors.Is(got, test.err) {
				t.Errorf("OpenFault(%v) = %v, of the state: %v", test.err, got, !test.state)
			}
		})
	}
	if OpenFault(nil) != nil {
		t.Error("no error is one")
	}
}
