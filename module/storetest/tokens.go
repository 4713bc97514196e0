package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Tokens runs the contract of grant.Store. The place's store must
// implement it.
func Tokens(t *testing.T, place MetadataPlace) {
	for name, test := range map[string]func(*tokenFixture){
		"a token comes back as it was added":                 tokenComesBack,
		"names are taken once, without case":                 tokenNames,
		"a token that was deleted is gone, its name is free": tokenDeleted,
		"of 8 racing tokens of one name one is added":        tokenRace,
		"tokens are listed with the oldest first":            tokenOrder,
		"last uses are kept, for tokens that are there":      tokenUses,
		"a closed store takes no token":                      tokenClosed,
		"tokens and files do not meet":                       tokenBesideFiles,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newTokenFixture(t, place)) })
			goleak.VerifyNone(t, before)
		})
	}
}

type tokenFixture struct{ *metadataFixture }

func newTokenFixture(t testing.TB, place MetadataPlace) *tokenFixture {
	f := &tokenFixture{newMetadataFixture(t, place)}
	if _, ok := f.MetadataStore.(grant.Store); !ok {
		t.Fatalf("%T keeps no tokens", f.MetadataStore)
	}
	return f
}

func (f *tokenFixture) store() grant.Store { return f.MetadataStore.(grant.Store) }

func (f *tokenFixture) pattern(text string) naming.Pattern {
	f.Helper()
	pattern, err := naming.ParsePattern(text)
	f.noError(err)
	return pattern
}

// token is one with every field set.
func (f *tokenFixture) token(id, name string) grant.Token {
	f.Helper()
	return grant.Token{
		ID: id, Name: name, User: "Ci", Created: epoch, Expires: epoch.Add(time.Hour),
		Scope: grant.Scope{
			Actions:  []grant.Action{grant.Write, grant.Read},
			Owners:   []naming.Pattern{f.pattern("Team"), f.pattern("x*")},
			Packages: []naming.Pattern{f.pattern("tool-?")},
		},
	}
}

func (f *tokenFixture) add(t grant.Token) {
	f.Helper()
	f.noError(f.store().AddToken(context.Background(), t, digestOf(t.ID)))
}

func (f *tokenFixture) find(id string) (grant.Token, error) {
	f.Helper()
	t, secret, err := f.store().FindToken(context.Background(), id)
	if err == nil && secret != digestOf(id) {
		f.Errorf("the secret of %s is another's", id)
	}
	return t, err
}

func (f *tokenFixture) mustFind(id string) grant.Token {
	f.Helper()
	t, err := f.find(id)
	f.noError(err)
	return t
}

func sameToken(a, b grant.Token) bool {
	return a.ID == b.ID && a.Name == b.Name && a.User == b.User &&
		a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires) && a.LastUsed.Equal(b.LastUsed) &&
		slices.Equal(a.Scope.Actions, b.Scope.Actions) && slices.Equal(a.Scope.Owners, b.Scope.Owners) &&
		slices.Equal(a.Scope.Packages, b.Scope.Packages)
}

func tokenComesBack(f *tokenFixture) {
	full := f.token("aaaaaaaaaa", "Full")
	bare := grant.Token{ID: "bbbbbbbbbb", Name: "bare", User: "ärger", Created: epoch, Scope: grant.Scope{Actions: []grant.Action{grant.Delete}}}
	f.add(full)
	f.add(bare)
	for range 2 {
		for _, want := range []grant.Token{full, bare} {
			if got := f.mustFind(want.ID); !sameToken(got, want) {
				f.Errorf("found %+v, want %+v", got, want)
			}
		}
		if got := f.mustFind(bare.ID); !got.Expires.IsZero() || !got.LastUsed.IsZero() {
			f.Errorf("times that were not set: %+v", got)
		}
		f.reopen()
	}
	_, err := f.find("cccccccccc")
	f.wantError(err, store.ErrTokenNotFound)
}

func tokenNames(f *tokenFixture) {
	f.add(f.token("aaaaaaaaaa", "Deploy"))
	err := f.store().AddToken(context.Background(), f.token("bbbbbbbbbb", "dEPLOY"), digestOf("x"))
	f.wantError(err, store.ErrTokenExists)
	_, err = f.find("bbbbbbbbbb")
	f.wantError(err, store.ErrTokenNotFound)
	err = f.store().AddToken(context.Background(), f.token("aaaaaaaaaa", "other"), digestOf("x"))
	f.wantError(err, store.ErrTokenExists)
	if got := f.mustFind("aaaaaaaaaa"); got.Name != "Deploy" {
		f.Errorf("name is %s", got.Name)
	}
	f.add(f.token("bbbbbbbbbb", "Deploy2"))
}

func tokenDeleted(f *tokenFixture) {
	f.add(f.token("aaaaaaaaaa", "deploy"))
	f.noError(f.store().UseTokens(context.Background(), map[string]time.Time{"aaaaaaaaaa": epoch}))
	f.noError(f.store().DeleteToken(context.Background(), "aaaaaaaaaa", act))
	f.wantError(f.store().DeleteToken(context.Background(), "aaaaaaaaaa", act), store.ErrTokenNotFound)
	f.reopen()
	_, err := f.find("aaaaaaaaaa")
	f.wantError(err, store.ErrTokenNotFound)
	f.add(f.token("aaaaaaaaaa", "deploy"))
	if got := f.mustFind("aaaaaaaaaa"); !got.LastUsed.IsZero() {
		f.Errorf("a new token was used at %s", got.LastUsed)
	}
}

func tokenRace(f *tokenFixture) {
	const clients = 8
	errs := make([]error, clients)
	inParallel(clients, func(i int) {
		errs[i] = f.store().AddToken(context.Background(), f.token(numbered(i)[:10], "deploy"), digestOf("x"))
	})
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
			continue
		}
		f.wantError(err, store.ErrTokenExists)
	}
	if added != 1 {
		f.Errorf("%d were added", added)
	}
}

func tokenOrder(f *tokenFixture) {
	for i, id := range []string{"cccccccccc", "aaaaaaaaaa", "bbbbbbbbbb"} {
		token := f.token(id, id)
		token.Created = epoch.Add(time.Duration(i) * time.Minute)
		f.add(token)
	}
	tokens, err := f.store().Tokens(context.Background())
	f.noError(err)
	var ids []string
	for _, token := range tokens {
		ids = append(ids, token.ID)
	}
	if !slices.Equal(ids, []string{"cccccccccc", "aaaaaaaaaa", "bbbbbbbbbb"}) {
		f.Errorf("listed as %v", ids)
	}
}

func tokenUses(f *tokenFixture) {
	f.add(f.token("aaaaaaaaaa", "a"))
	f.add(f.token("bbbbbbbbbb", "b"))
	f.noError(f.store().UseTokens(context.Background(), map[string]time.Time{"aaaaaaaaaa": epoch, "unknown": epoch}))
	f.noError(f.store().UseTokens(context.Background(), map[string]time.Time{"aaaaaaaaaa": epoch.Add(time.Minute)}))
	f.reopen()
	if got := f.mustFind("aaaaaaaaaa").LastUsed; !got.Equal(epoch.Add(time.Minute)) {
		f.Errorf("last used at %s", got)
	}
	if got := f.mustFind("bbbbbbbbbb").LastUsed; !got.IsZero() {
		f.Errorf("another was used at %s", got)
	}
	tokens, err := f.store().Tokens(context.Background())
	f.noError(err)
	if len(tokens) != 2 || !tokens[0].LastUsed.Equal(epoch.Add(time.Minute)) && !tokens[1].LastUsed.Equal(epoch.Add(time.Minute)) {
		f.Errorf("listed as %+v", tokens)
	}
}

func tokenClosed(f *tokenFixture) {
	f.add(f.token("aaaaaaaaaa", "a"))
	tokens := f.store()
	f.noError(f.MetadataStore.Close())
	ctx := context.Background()
	_, _, find := tokens.FindToken(ctx, "aaaaaaaaaa")
	_, list := tokens.Tokens(ctx)
	for _, err := range []error{
		tokens.AddToken(ctx, f.token("bbbbbbbbbb", "b"), digestOf("b")), find, list,
		tokens.DeleteToken(ctx, "aaaaaaaaaa", act), tokens.UseTokens(ctx, map[string]time.Time{"aaaaaaaaaa": epoch}),
	} {
		f.wantError(err, store.ErrUnavailable)
	}
}

func tokenBesideFiles(f *tokenFixture) {
	file := f.mustPublish(ref("a", "p", "1", "f"), "x")
	f.add(f.token("aaaaaaaaaa", "a"))
	f.noError(f.DeleteVersion(context.Background(), ref("a", "p", "1", "").VersionRef, act))
	f.wantCondemned(file.Locator)
	f.mustFind("aaaaaaaaaa")
}
