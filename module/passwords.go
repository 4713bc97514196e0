package module

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// hashWait bounds how long a request waits until its password is hashed.
const hashWait = 10 * time.Second

// hashing has a place for each password that may be hashed at once, in all of this
// process: half of the processors, so that guessing leaves the others to downloads.
var hashing = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

var errHashesBusy = errors.New("too many passwords are being checked")

// provisionBasic checks the names of users with passwords, and bounds how many of the
// passwords are hashed at once. What is in the cache of hashes waits for nothing.
func (a *Authenticator) provisionBasic(ctx caddy.Context) error {
	if a.Basic.Realm != "" {
		return fmt.Errorf("realm is %q, and every 401 of a registry is for one realm, which cannot be chosen: leave it out", a.Basic.Realm)
	}
	// Afterwards the names have values in place of placeholders.
	if err := a.Basic.Provision(ctx); err != nil {
		return err
	}
	names := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(a.Basic.Accounts)) {
		if err := access.CheckBasicUser(name); err != nil {
			return err
		}
		if other, twice := names[store.Fold(name)]; twice {
			return fmt.Errorf("users %s and %s are one, because case does not count: keep one of them", other, name)
		}
		names[store.Fold(name)] = name
	}
	a.Basic.Hash = &boundedHash{Comparer: a.Basic.Hash, places: hashing, wait: hashWait}
	return nil
}

// boundedHash compares passwords while there is a place for it.
type boundedHash struct {
	caddyauth.Comparer
	places chan struct{}
	wait   time.Duration
}

// Compare implements caddyauth.Comparer.
func (b *boundedHash) Compare(hashed, password []byte) (bool, error) {
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	select {
	case b.places <- struct{}{}:
	case <-timer.C:
		return false, errHashesBusy
	}
	defer func() { <-b.places }()
	return b.Comparer.Compare(hashed, password)
}
