package storetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// TokensOfPair runs what a registry promises of tokens over a pair of stores
// whose metadata store keeps them.
func TokensOfPair(t *testing.T, metadata MetadataPlace, blobs BlobPlace) {
	for name, test := range map[string]func(*clockFixture){
		"a token is checked by its whole text":          checkedToken,
		"a token ends when it expires":                  expiringToken,
		"a revoked token is gone at once":               revokedToken,
		"last uses are shown at once and kept at close": usedToken,
		"tokens that cannot be are refused":             refusedTokens,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) {
				f := &clockFixture{pairFixture: &pairFixture{TB: t, openMetadata: metadata(t), openBlobs: blobs(t)}}
				f.now.Store(epoch.UnixNano())
				f.clock = func() time.Time { return time.Unix(0, f.now.Load()) }
				f.mustOpen()
				t.Cleanup(func() { f.noError(f.Registry.Close()) })
				test(f)
			})
			goleak.VerifyNone(t, before)
		})
	}
}

// clockFixture is a registry whose clock the test moves.
type clockFixture struct {
	*pairFixture
	now atomic.Int64
}

func (f *clockFixture) pass(d time.Duration) { f.now.Add(int64(d)) }

func (f *clockFixture) create(name string, expires time.Time) (grant.Token, string) {
	f.Helper()
	token, text, err := f.CreateToken(context.Background(), grant.Token{
		ID: "chosen", Name: name, User: "ci", Expires: expires, Scope: grant.Scope{Actions: []grant.Action{grant.Write}},
	})
	f.noError(err)
	return token, text
}

func (f *clockFixture) check(text string) error {
	f.Helper()
	_, err := f.CheckToken(context.Background(), text)
	return err
}

func checkedToken(f *clockFixture) {
	made, text := f.create("a", time.Time{})
	_, other := f.create("b", time.Time{})
	if made.ID == "chosen" || !made.Created.Equal(epoch) || !strings.HasPrefix(text, grant.Prefix+made.ID) {
		f.Errorf("made %+v", made)
	}
	got, err := f.CheckToken(context.Background(), text)
	f.noError(err)
	if got.ID != made.ID || got.User != "ci" || got.Name != "a" {
		f.Errorf("checked %+v", got)
	}
	const idEnd = len(grant.Prefix) + 10
	for _, wrong := range []string{
		"", grant.Prefix, text[:len(text)-1], text + "a", strings.ToUpper(text), text[len(grant.Prefix):],
		text[:idEnd] + other[idEnd:], other[:idEnd] + text[idEnd:], grant.Prefix + strings.Repeat("a", 36),
	} {
		f.wantError(f.check(wrong), store.ErrTokenNotFound)
	}
}

func expiringToken(f *clockFixture) {
	_, text := f.create("a", epoch.Add(time.Hour))
	_, forever := f.create("b", time.Time{})
	f.pass(time.Hour - 1)
	f.noError(f.check(text))
	f.pass(1)
	f.wantError(f.check(text), store.ErrTokenExpired)
	f.pass(100 * 365 * 24 * time.Hour)
	f.wantError(f.check(text), store.ErrTokenExpired)
	f.noError(f.check(forever))
}

func revokedToken(f *clockFixture) {
	first, text := f.create("Deploy", time.Time{})
	_, err := f.RevokeToken(context.Background(), "unknown")
	f.wantError(err, store.ErrTokenNotFound)
	got, err := f.RevokeToken(context.Background(), first.ID)
	f.noError(err)
	if got.ID != first.ID {
		f.Errorf("revoked %+v", got)
	}
	f.wantError(f.check(text), store.ErrTokenNotFound)
	_, text = f.create("deploy", time.Time{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _ = f.check(text) })
	}
	all.Wait()
	_, err = f.RevokeToken(context.Background(), "DEPLOY")
	f.noError(err)
	f.wantError(f.check(text), store.ErrTokenNotFound)
}

func (f *clockFixture) lastUses() (uses []time.Time) {
	f.Helper()
	tokens, err := f.Tokens(context.Background())
	f.noError(err)
	for _, token := range tokens {
		uses = append(uses, token.LastUsed)
	}
	return uses
}

func usedToken(f *clockFixture) {
	_, text := f.create("a", time.Time{})
	f.pass(time.Minute)
	f.create("b", time.Time{})
	f.noError(f.check(text))
	f.pass(time.Minute)
	want := []time.Time{epoch.Add(time.Minute), {}}
	for range 2 {
		if got := f.lastUses(); !slices.EqualFunc(got, want, time.Time.Equal) {
			f.Errorf("last used %v, want %v", got, want)
		}
		f.reopen()
	}
	f.wantError(f.check(text[:len(text)-1]+"0"), store.ErrTokenNotFound)
	if got := f.lastUses(); !slices.EqualFunc(got, want, time.Time.Equal) {
		f.Errorf("after a wrong secret, last used %v, want %v", got, want)
	}
}

func refusedTokens(f *clockFixture) {
	good := grant.Token{Name: "a", User: "ci", Scope: grant.Scope{Actions: []grant.Action{grant.Read}}}
	for _, spoil := range []func(*grant.Token){
		func(t *grant.Token) { t.Name = "" },
		func(t *grant.Token) { t.Name = " a" },
		func(t *grant.Token) { t.Name = strings.Repeat("a", 65) },
		func(t *grant.Token) { t.Name = "a\nb" },
		func(t *grant.Token) { t.User = "" },
		func(t *grant.Token) { t.User = "\xff" },
		func(t *grant.Token) { t.User = strings.Repeat("a", 256) },
		func(t *grant.Token) { t.Scope.Actions = nil },
		func(t *grant.Token) { t.Scope.Actions = []grant.Action{grant.Read, "admin"} },
		func(t *grant.Token) { t.Expires = epoch },
		func(t *grant.Token) { t.Scope.Actions = slices.Repeat(t.Scope.Actions, 32<<10/4) },
		func(t *grant.Token) {
			t.Scope.Packages, _ = naming.ParsePatterns([]string{strings.Repeat("a", 32<<10)})
		},
	} {
		bad := good
		spoil(&bad)
		_, _, err := f.CreateToken(context.Background(), bad)
		f.wantError(err, store.ErrInvalidToken)
	}
	_, _, err := f.CreateToken(context.Background(), good)
	f.noError(err)
	_, _, err = f.CreateToken(context.Background(), good)
	f.wantError(err, store.ErrTokenExists)
}
