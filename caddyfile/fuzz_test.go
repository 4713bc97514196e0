package caddyfile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// parseText reads what may follow the directive's name.
func parseText(text string) (*module.Handler, error) {
	tokens, err := caddyfile.Tokenize([]byte(directiveName+text), "Caddyfile")
	if err != nil {
		return nil, err
	}
	handler := new(module.Handler)
	return handler, parse(caddyfile.NewDispenser(tokens), handler)
}

// FuzzDirective holds that no text makes the parser panic, and that what it accepts
// is a configuration that the module accepts as JSON.
func FuzzDirective(f *testing.F) {
	for _, g := range goldens(f) {
		if _, text, found := strings.Cut(g.input, "\t"+directiveName); found {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		handler, err := parseText(text)
		if err != nil {
			return
		}
		checkRules(t, handler)
		checkLoadsBack(t, handler)
	})
}

// FuzzAuthDirective holds the same of generic_registry_auth.
func FuzzAuthDirective(f *testing.F) {
	for _, g := range goldens(f) {
		if _, text, found := strings.Cut(g.input, "\t"+authDirectiveName); found {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(authDirectiveName+text), "Caddyfile")
		if err != nil {
			return
		}
		authenticator := new(module.Authenticator)
		if parseAuth(caddyfile.NewDispenser(tokens), authenticator) != nil {
			return
		}
		if basic := authenticator.Basic; basic != nil {
			for _, account := range basic.AccountList {
				if err := access.CheckBasicUser(account.Username); err != nil || account.Password == "" {
					t.Errorf("account %+v: %v", account, err)
				}
			}
			if len(basic.AccountList) == 0 || basic.HashCache == nil {
				t.Errorf("basic is %+v", basic)
			}
		}
		checkReencodes(t, mustEncode(t, authenticator), new(module.Authenticator))
	})
}

func checkRules(t *testing.T, handler *module.Handler) {
	t.Helper()
	owners := make(map[string]bool)
	for _, rule := range handler.Owners {
		if owners[store.Fold(rule.Owner)] {
			t.Errorf("owner %q has two rules", rule.Owner)
		}
		owners[store.Fold(rule.Owner)] = true
		if access.CheckRuleOwner(rule.Owner) != nil {
			t.Errorf("a rule for %q, which cannot be an owner", rule.Owner)
		}
		if rule.IsEmpty() {
			t.Errorf("the rule of owner %q is empty", rule.Owner)
		}
		checkPermissions(t, rule.Permissions)
		for _, narrowed := range rule.Packages {
			if _, err := access.CheckPackagePattern(narrowed.Package); err != nil || narrowed.IsEmpty() {
				t.Errorf("a rule for package %q: %+v, %v", narrowed.Package, narrowed, err)
			}
			checkPermissions(t, narrowed.Permissions)
		}
	}
	for _, admin := range handler.Admins {
		if err := access.CheckUser(admin); err != nil {
			t.Error(err)
		}
	}
	if handler.MaxFileSize < 0 || handler.MaxUploads < 0 || handler.MaxUserUploads < 0 || handler.UploadStallTimeout < 0 {
		t.Errorf("a limit is below zero: %+v", handler)
	}
	for _, claim := range []*access.Claim{handler.User, handler.Groups} {
		if claim == nil {
			continue
		}
		if _, err := access.CheckClaim(*claim); err != nil {
			t.Error(err)
		}
	}
}

func checkPermissions(t *testing.T, p access.Permissions) {
	t.Helper()
	for _, principal := range slices.Concat(p.Read, p.Write, p.Delete) {
		if err := access.CheckPrincipal(principal); err != nil {
			t.Error(err)
		}
	}
}

// checkLoadsBack holds that the handler's JSON, and its stores', have no field that
// their modules do not know, and mean the same once loaded.
func checkLoadsBack(t *testing.T, handler *module.Handler) {
	t.Helper()
	checkReencodes(t, mustEncode(t, handler), new(module.Handler))
	for namespace, settings := range map[string]json.RawMessage{
		metadataNamespace: handler.MetadataRaw,
		blobsNamespace:    handler.BlobsRaw,
	} {
		if settings == nil {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(settings, &fields); err != nil {
			t.Fatal(err)
		}
		name, _ := fields["module"].(string)
		info, err := caddy.GetModule(namespace + "." + name)
		if err != nil {
			t.Fatal(err)
		}
		delete(fields, "module")
		checkReencodes(t, mustEncode(t, fields), info.New())
	}
}

func checkReencodes(t *testing.T, encoded []byte, into any) {
	t.Helper()
	if err := caddy.StrictUnmarshalJSON(encoded, into); err != nil {
		t.Fatalf("loading %s: %v", encoded, err)
	}
	if again := mustEncode(t, into); !sameJSON(t, again, encoded) {
		t.Errorf("loads as %s, was %s", again, encoded)
	}
}

func mustEncode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// sameJSON compares without regard to the order of fields.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	return bytes.Equal(sortFields(t, a), sortFields(t, b))
}

func sortFields(t *testing.T, encoded []byte) []byte {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return mustEncode(t, value)
}
