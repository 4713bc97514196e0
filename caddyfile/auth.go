package caddyfile

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"golang.org/x/crypto/bcrypt"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const authDirectiveName = "generic_registry_auth"

func init() {
	httpcaddyfile.RegisterHandlerDirective(authDirectiveName, parseAuthCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder(authDirectiveName, httpcaddyfile.After, "basic_auth")
}

func parseAuthCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	authenticator := new(module.Authenticator)
	if err := parseAuth(h.Dispenser, authenticator); err != nil {
		return nil, err
	}
	return caddyauth.Authentication{
		ProvidersRaw: caddy.ModuleMap{directiveName: caddyconfig.JSON(authenticator, nil)},
	}, nil
}

// authWords are the words of the block.
var authWords = words{
	"root":    (*directive).authRoot,
	"basic":   (*directive).basic,
	"require": (*directive).require,
}

// parseAuth reads the directive into the authenticator:
//
//	generic_registry_auth [<matcher>] {
//		root <dir>
//		basic [bcrypt|argon2id] {
//			<user> <hash>
//			...
//		}
//		require
//	}
//
// The dispenser has the directive's tokens without the matcher.
func parseAuth(dispenser *caddyfile.Dispenser, authenticator *module.Authenticator) error {
	d := &directive{Dispenser: dispenser, auth: authenticator}
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected %q after %s: a matcher is * or begins with / or @, settings go into a block", d.Val(), authDirectiveName)
	}
	return d.block(authDirectiveName, authWords)
}

func (d *directive) authRoot() (err error) {
	d.auth.Root, err = d.value("<dir>")
	return err
}

func (d *directive) require() error {
	word := d.Val()
	if d.NextArg() {
		return d.Errf("unexpected %q: %s has no value; leave the line out to let anonymous requests pass", d.Val(), word)
	}
	d.auth.Require = true
	return nil
}

// basic reads users with passwords. Their hashes are cached, as basic_auth does.
func (d *directive) basic() error {
	algorithms := d.RemainingArgs()
	algorithm := "bcrypt"
	switch {
	case len(algorithms) > 1:
		return d.Errf("basic has at most the name of an algorithm: the form is basic [bcrypt|argon2id] { ... }")
	case len(algorithms) == 1 && algorithms[0] != "bcrypt" && algorithms[0] != "argon2id":
		return d.Errf("basic has no algorithm %s: write bcrypt or argon2id, or leave it out for bcrypt", algorithms[0])
	case len(algorithms) == 1:
		algorithm = algorithms[0]
	}
	if !d.opensBlock() {
		return d.Errf("basic has a block of users: the form is basic { <user> <hash> }")
	}
	empty := d.Errf("basic has no user: write <user> <hash> into its block; caddy hash-password makes hashes")
	hash, err := json.Marshal(map[string]string{"algorithm": algorithm})
	if err != nil {
		return d.WrapErr(err)
	}
	d.auth.Basic = &caddyauth.HTTPBasicAuth{HashRaw: hash, HashCache: new(caddyauth.Cache)}
	if err := d.accounts(algorithm); err != nil {
		return err
	}
	if d.auth.Basic.AccountList == nil {
		return empty
	}
	return nil
}

func (d *directive) accounts(algorithm string) error {
	written := make(map[string]string) // user to the position of its line
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		user := d.Val()
		if err := access.CheckBasicUser(user); err != nil {
			return d.WrapErr(err)
		}
		folded := store.Fold(user) // users are compared so
		if first, twice := written[folded]; twice {
			return d.Errf("user %s is written twice, first at %s (upper and lower case are the same): make it one line", user, first)
		}
		written[folded] = d.position()
		var hash string
		if !d.Args(&hash) || d.NextArg() || hash == "" {
			return d.Errf("user %s has one hash: the form is <user> <hash>; caddy hash-password makes hashes", user)
		}
		if !isHash(hash, algorithm) {
			// The text is not repeated: it may be the password itself.
			return d.Errf("the hash of %s is no %s hash: write what caddy hash-password --algorithm %s prints", user, algorithm, algorithm)
		}
		d.auth.Basic.AccountList = append(d.auth.Basic.AccountList, caddyauth.Account{Username: user, Password: hash})
	}
	return nil
}

// isHash tells whether a text can be a hash of an algorithm, in itself or in the base64
// that Caddy takes too. A placeholder can be anything.
func isHash(text, algorithm string) bool {
	if strings.Contains(text, "{") {
		return true
	}
	if !strings.HasPrefix(text, "$") {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return false
		}
		text = string(decoded)
	}
	if algorithm == "bcrypt" {
		_, err := bcrypt.Cost([]byte(text))
		return err == nil
	}
	return strings.HasPrefix(text, "$argon2id$")
}
