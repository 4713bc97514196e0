// Package caddyfile is the grammar of the generic_registry directive: tokens in, a
// configured handler out.
package caddyfile

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module"
)

const directiveName = "generic_registry"

func init() {
	httpcaddyfile.RegisterHandlerDirective(directiveName, parseDirective)
	// After authentication and respond, so that rules which deny win; before what
	// answers every path.
	httpcaddyfile.RegisterDirectiveOrder(directiveName, httpcaddyfile.Before, "reverse_proxy")
}

// subdirectives are the words of the block.
var subdirectives = map[string]func(*directive) error{
	"root":          (*directive).root,
	"prefix":        (*directive).prefix,
	"owner":         (*directive).owner,
	"admin":         (*directive).admin,
	"max_file_size": (*directive).maxFileSize,
	"file_names":    (*directive).fileNames,
	"metadata":      (*directive).metadata,
	"blobs":         (*directive).blobs,
}

// directive is one occurrence of generic_registry while it is read.
type directive struct {
	*caddyfile.Dispenser
	handler *module.Handler
	owners  map[string]int // folded owner to the line of its block
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(module.Handler)
	d := &directive{Dispenser: h.Dispenser, handler: handler, owners: make(map[string]int)}
	if err := d.parse(); err != nil {
		return nil, err
	}
	return handler, nil
}

// parse reads the directive:
//
//	generic_registry [<matcher>] {
//		root          <dir>
//		prefix        <path>
//		owner <name>|* {
//			read      <principal>...
//			write     <principal>...
//		}
//		admin         <user>...
//		max_file_size <size>
//		file_names    documented|gitea
//		metadata      <name> { ... }
//		blobs         <name> { ... }
//	}
func (d *directive) parse() error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected %q: a matcher begins with / or @, settings go into a block", d.Val())
	}
	return d.block(directiveName, subdirectives, "owner")
}

// block reads the lines of a block. Each word may come once, except the
// repeatable ones.
func (d *directive) block(of string, words map[string]func(*directive) error, repeatable ...string) error {
	seen := make(map[string]int)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		read, known := words[word]
		if !known {
			return d.Errf("unknown word %q in %s: write one of %s", word, of, list(words))
		}
		if first, repeated := seen[word]; repeated && !slices.Contains(repeatable, word) {
			return d.Errf("%s is written twice, first on line %d: make it one", word, first)
		}
		seen[word] = d.Line()
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

func list(words map[string]func(*directive) error) string {
	names := make([]string, 0, len(words))
	for name := range words {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// value reads the one argument of the current word.
func (d *directive) value(form string) (string, error) {
	word := d.Val()
	var value string
	if !d.Args(&value) || value == "" || d.NextArg() {
		return "", d.Errf("write %s %s", word, form)
	}
	return value, nil
}

// values reads one or more arguments of the current word, each once.
func (d *directive) values(form string) ([]string, error) {
	word := d.Val()
	values := d.RemainingArgs()
	if len(values) == 0 {
		return nil, d.Errf("write %s %s", word, form)
	}
	for i, value := range values {
		if slices.Contains(values[:i], value) {
			return nil, d.Errf("%s names %s twice", word, value)
		}
	}
	return values, nil
}

// guest reads a guest module and its block, and returns it as JSON.
func (d *directive) guest(namespace string) ([]byte, error) {
	word := d.Val()
	if !d.NextArg() {
		return nil, d.Errf("write %s <name>, of a module %s.<name>", word, namespace)
	}
	name := d.Val()
	unmarshaler, err := caddyfile.UnmarshalModule(d.Dispenser, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(unmarshaler, "module", name, nil), nil
}

