package caddyfile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// TestAnyHandlerCanBeWritten holds that every configuration of the handler has a
// directive that reads back as just that configuration.
func TestAnyHandlerCanBeWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawHandler(t)
		text := write(want)
		got, err := parseText(text)
		if err != nil {
			t.Fatalf("%v, in:\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, want %+v, from:\n%s", got, want, text)
		}
	})
}

func drawHandler(t *rapid.T) *module.Handler {
	name := rapid.StringMatching(`[A-Za-zÀ-ž0-9{][A-Za-zÀ-ž0-9 {}#.*@_-]{0,10}[A-Za-z0-9}]`)
	user := rapid.OneOf(rapid.StringMatching(`[A-Za-zÀ-ž0-9][A-Za-zÀ-ž0-9 #.*@_-]{0,10}[A-Za-z0-9]`), rapid.StringMatching(`[a-c]`))
	principal := rapid.OneOf(user, rapid.SampledFrom([]string{"*", "@users", "@owner"}))
	owner := rapid.OneOf(user, rapid.Just("*"))
	rule := rapid.Custom(func(t *rapid.T) module.OwnerRule {
		r := module.OwnerRule{Owner: owner.Draw(t, "owner")}
		r.Read = drawNames(t, principal, 0, "read")
		fewest := 0
		if r.Read == nil {
			fewest = 1
		}
		r.Write = drawNames(t, principal, fewest, "write")
		return r
	})

	h := new(module.Handler)
	h.Root = rapid.OneOf(rapid.Just(""), name).Draw(t, "root")
	h.Prefix = rapid.OneOf(rapid.Just(""), rapid.Map(name, func(s string) string { return "/" + s })).Draw(t, "prefix")
	if rules := rapid.SliceOfNDistinct(rule, 0, 4, func(r module.OwnerRule) string { return registry.Fold(r.Owner) }).Draw(t, "owners"); len(rules) > 0 {
		h.Owners = rules
	}
	h.Admins = drawNames(t, user, 0, "admins")
	h.MaxFileSize = rapid.Int64Range(0, 1<<52).Draw(t, "max_file_size") // sizes are read as float64: exact up to 53 bits
	h.FileNames = rapid.SampledFrom([]registry.FileNames{"", registry.FileNamesDocumented, registry.FileNamesGitea}).Draw(t, "file_names")
	return h
}

func drawNames(t *rapid.T, name *rapid.Generator[string], fewest int, label string) []string {
	names := rapid.SliceOfNDistinct(name, fewest, 4, registry.Fold).Draw(t, label)
	if len(names) == 0 {
		return nil
	}
	return names
}

// write returns what follows the directive's name for a handler.
func write(h *module.Handler) string {
	var text strings.Builder
	line := func(word string, values ...string) {
		if len(values) == 0 || values[0] == "" {
			return
		}
		fmt.Fprintf(&text, "\t%s", word)
		for _, value := range values {
			fmt.Fprintf(&text, " `%s`", value)
		}
		text.WriteString("\n")
	}
	text.WriteString(" {\n")
	line("root", h.Root)
	line("prefix", h.Prefix)
	for _, rule := range h.Owners {
		fmt.Fprintf(&text, "owner `%s` {\n", rule.Owner)
		line("read", rule.Read...)
		line("write", rule.Write...)
		text.WriteString("}\n")
	}
	line("admin", h.Admins...)
	if h.MaxFileSize > 0 {
		line("max_file_size", fmt.Sprint(h.MaxFileSize))
	}
	line("file_names", string(h.FileNames))
	text.WriteString("}\n")
	return text.String()
}
