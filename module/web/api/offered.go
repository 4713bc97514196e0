package api

import (
	"maps"
	"slices"
	"strings"
)

// In the description an object that has optionKey is about what only sites with that option
// answer, and the texts of addsKey are added to its description where a site has theirs.
const (
	optionKey = "x-option"
	addsKey   = "x-adds"
)

// offered is what a site answers of what is described.
type offered struct {
	options   map[string]bool
	checksums string          // the names of what is computed
	parts     map[string]bool // the components, by what refers to them
}

func offeredBy(options Options, api bool) offered {
	var checksums []string
	if options.Sums != "" {
		checksums = append(checksums, options.Sums)
	}
	for _, hash := range options.Hashes {
		checksums = append(checksums, "the name of a file with ."+string(hash))
	}
	return offered{
		options: map[string]bool{
			"api": api, "releases": options.Releases, "drafts": options.Drafts, "resumable": options.Resumable,
			"archives": options.Archives, "selects": options.Selects, "checksums": len(checksums) > 0,
		},
		checksums: strings.Join(checksums, ", "),
		parts:     make(map[string]bool),
	}
}

// has tells whether a site answers what a part of the description is about.
func (o offered) has(part any) bool {
	object, isObject := part.(map[string]any)
	if !isObject {
		return true
	}
	if option, marked := object[optionKey].(string); marked && !o.options[option] {
		return false
	}
	reference, refers := object["$ref"].(string)
	return !refers || o.parts[reference]
}

// keep drops from a part of the description what the site does not answer, and the marks.
func (o offered) keep(part any) any {
	switch part := part.(type) {
	case []any:
		kept := slices.DeleteFunc(part, func(element any) bool { return !o.has(element) })
		for i := range kept {
			kept[i] = o.keep(kept[i])
		}
		return kept
	case map[string]any:
		maps.DeleteFunc(part, func(_ string, value any) bool { return !o.has(value) })
		if added, ok := part[addsKey].(map[string]any); ok {
			for _, option := range slices.Sorted(maps.Keys(added)) {
				if o.options[option] {
					part["description"] = part["description"].(string) + ". " + strings.ReplaceAll(added[option].(string), "{checksums}", o.checksums)
				}
			}
		}
		delete(part, optionKey)
		delete(part, addsKey)
		for key := range part {
			part[key] = o.keep(part[key])
		}
	}
	return part
}
