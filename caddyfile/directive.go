// Package caddyfile is the grammar of the directives generic_registry and
// generic_registry_auth: tokens in, a configured handler or authenticator out.
package caddyfile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/web/api"
)

const directiveName = "generic_registry"

func init() {
	httpcaddyfile.RegisterDirective(directiveName, parseCaddyfile)
	// After authentication and respond, so that rules which deny win; before what
	// answers every path.
	httpcaddyfile.RegisterDirectiveOrder(directiveName, httpcaddyfile.Before, "reverse_proxy")
}

// parseCaddyfile is what RegisterHandlerDirective would do, with a look at the matcher.
func parseCaddyfile(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name
	written := h.RemainingArgs()
	h.Reset()
	h.Next()
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler := new(module.Handler)
	if err := parse(h.Dispenser, handler); err != nil {
		return nil, err
	}
	if paths, missed := missedPaths(matchers, handler); missed {
		h.Reset()
		h.Next()
		return nil, h.Errf("%s", missedText(written, paths, handler))
	}
	return h.NewRoute(matchers, handler), nil
}

// subdirectives are the words of the block.
var subdirectives = words{
	"root":                 (*directive).root,
	"prefix":               (*directive).prefix,
	"owner":                (*directive).owner,
	"admin":                (*directive).admin,
	"on_duplicate":         (*directive).onDuplicate,
	"immutable":            (*directive).immutable,
	"user":                 (*directive).user,
	"groups":               (*directive).groups,
	"max_file_size":        (*directive).maxFileSize,
	"max_uploads":          (*directive).maxUploads,
	"max_user_uploads":     (*directive).maxUserUploads,
	"upload_stall_timeout": (*directive).uploadStallTimeout,
	"upload_least_rate":    (*directive).uploadLeastRate,
	"resumable":            (*directive).resumable,
	"file_names":           (*directive).fileNames,
	"scrub":                (*directive).scrub,
	"verify_reads":         (*directive).verifyReads,
	"checksums":            (*directive).checksums,
	"select":               (*directive).selects,
	"archive":              (*directive).archive,
	"drafts":               (*directive).drafts,
	"health":               (*directive).health,
	"browse":               (*directive).browse,
	"api":                  (*directive).api,
	"releases":             (*directive).releases,
	"cache":                (*directive).cache,
	"errors":               (*directive).errors,
	"metadata":             (*directive).metadata,
	"blobs":                (*directive).blobs,
}

// directive is one occurrence of generic_registry while it is read.
type directive struct {
	*caddyfile.Dispenser
	handler *module.Handler
	auth    *module.Authenticator // of generic_registry_auth, which has no handler
	owners  map[string]string     // folded owner to the position of its block
	lines   *access.Permissions   // of the rule that is being read

	// republishing is that of the block that is being read.
	republishing *access.Republishing
	// contradictions are where blocks say replace and immutable.
	contradictions []caddyfile.Dispenser
	webhooks       []string // where those of the handler are written

	// At the values of these words, where they are written.
	atHealth, atAPI, atReleases caddyfile.Dispenser
}

// parse reads the directive into the handler:
//
//	generic_registry [<matcher>] {
//		root                 <dir>
//		prefix               <path>
//		owner <name>|* {
//			read         <principal>...
//			write        <principal>...
//			delete       <principal>...
//			on_duplicate reject|same|replace
//			immutable    [off]
//			quota        <size>
//			max_versions <number>
//			max_files    <number>
//			webhook <url> {
//				secret        <text>
//				events        created deleted
//				site          <url>
//				allow_private
//				max_age       <duration>
//				max_behind    <number>
//			}
//			package <pattern> {
//				read         <principal>...
//				write        <principal>...
//				delete       <principal>...
//				on_duplicate reject|same|replace
//				immutable    [off]
//			}
//		}
//		admin                <user>...
//		on_duplicate         reject|same|replace
//		immutable            [off]
//		user                 [trusted] <placeholder>
//		groups               [trusted] <placeholder>
//		max_file_size        <size>
//		max_uploads          <number>
//		max_user_uploads     <number>
//		upload_stall_timeout <duration>
//		upload_least_rate    <rate>|off
//		resumable            off | {
//			max_append   <size>|off
//			ttl          <duration>
//			max          <number>
//			max_user     <number>
//		}
//		file_names           documented|gitea
//		scrub                <rate>|off
//		verify_reads
//		checksums            off | { sums <name>; hashes <hash>... }
//		select               off | latest semver
//		archive              off
//		drafts               off | { ttl <duration>; max <number> }
//		health               <path>
//		browse               [<template dir>]
//		api                  <path>|off
//		releases
//		cache                public [<max age>]
//		errors               route
//		metadata             <name> { ... }
//		blobs                <name> { ... }
//	}
//
// The dispenser has the directive's tokens without the matcher.
func parse(dispenser *caddyfile.Dispenser, handler *module.Handler) error {
	d := &directive{Dispenser: dispenser, handler: handler, owners: make(map[string]string), republishing: &handler.Republishing}
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected %q after %s: a matcher is * or begins with / or @, settings go into a block", d.Val(), directiveName)
	}
	if err := d.block(directiveName, subdirectives, "owner"); err != nil {
		return err
	}
	if err := d.checkRepublishing(); err != nil {
		return err
	}
	return d.checkPaths()
}

// checkPaths holds the paths beside the prefix against the prefix and each other, which may come
// in any order. What depends on placeholders is not judged.
func (d *directive) checkPaths() error {
	h, prefix := d.handler, cmp.Or(d.handler.Prefix, module.DefaultPrefix)
	if strings.Contains(prefix, "{") {
		return nil
	}
	var apiPath []string
	if !strings.Contains(h.API, "{") {
		var err error
		if apiPath, err = api.CheckPath(h.API, prefix); err != nil {
			return d.atAPI.WrapErr(err)
		}
		if apiPath == nil && h.Releases {
			return d.atReleases.WrapErr(api.ErrReleases)
		}
	}
	if strings.Contains(h.Health, "{") {
		return nil
	}
	if err := module.CheckHealth(h.Health, prefix, apiPath, h.Releases); err != nil {
		return d.atHealth.WrapErr(err)
	}
	return nil
}

// position is the file and line of the current token.
func (d *directive) position() string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }
