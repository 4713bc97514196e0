package send

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// conditionsFile is what a PUT with conditions finds.
var conditionsFile = store.File{
	Blob:    store.Blob{Digest: store.Digest{1, 2, 3}},
	Created: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
}

// FuzzPreconditions: whatever the headers hold, a condition that is there does not
// hold on a file that it cannot mean.
func FuzzPreconditions(f *testing.F) {
	tag := EntityTag(conditionsFile.Digest)
	const created = "Fri, 02 Jan 2026 03:04:05 GMT"
	for _, seed := range []struct{ match, noneMatch, since string }{
		{"", "", ""}, {"*", "", ""}, {"", "*", ""}, {tag, tag, created}, {`"other"`, `"other", ` + tag, "yesterday"},
		{"W/" + tag, "W/" + tag, "Fri, 02 Jan 2026 03:04:04 GMT"}, {"W/" + tag, "", ""}, {",, *", " ,W/*", ""},
		{"", "", created}, {"", "", "Fri, 02 Jan 2026 03:04:04 GMT"}, {"", "", "yesterday"}, {"*\n" + tag, "\n*", created},
		{tag[1 : len(tag)-1], `"` + tag + `"`, "0"}, {`"*"`, `W/"*"`, "Friday, 02-Jan-26 03:04:05 GMT"},
	} {
		f.Add(seed.match, seed.noneMatch, seed.since)
	}
	f.Fuzz(func(t *testing.T, match, noneMatch, since string) {
		header := make(http.Header)
		for name, value := range map[string]string{"If-Match": match, "If-None-Match": noneMatch, "If-Unmodified-Since": since} {
			if value != "" {
				header[name] = strings.Split(value, "\n") // one header line each
			}
		}
		onExisting := failedPrecondition(header, true, conditionsFile) == ""
		onMissing := failedPrecondition(header, false, store.File{}) == ""
		named := func(value string) bool { return strings.Contains(value, tag) || strings.Contains(value, "*") }
		if onMissing != (match == "") {
			t.Errorf("on a missing file: %v", onMissing)
		}
		if match != "" && !named(match) && onExisting {
			t.Error("If-Match holds on a file that it does not name")
		}
		if match == "W/"+tag && onExisting {
			t.Error("If-Match holds for a weak tag")
		}
		if onExisting && slices.ContainsFunc(header["If-None-Match"], func(line string) bool { return line == "*" || line == tag || line == "W/"+tag }) {
			t.Error("If-None-Match holds on a file that it names")
		}
		limit, err := http.ParseTime(header.Get("If-Unmodified-Since"))
		late := err == nil && limit.Before(conditionsFile.Created.Truncate(time.Second))
		if match == "" && late && onExisting {
			t.Error("If-Unmodified-Since holds on a file that is newer")
		}
		if (match == "*" || match == tag || match == "" && !late) && !named(noneMatch) && !onExisting {
			t.Error("refused without a reason")
		}
	})
}

// FuzzEntityTags: a list of well-formed tags (RFC 9110 section 8.8.3), whatever
// they hold, has just those that are in it.
func FuzzEntityTags(f *testing.F) {
	tag := EntityTag(conditionsFile.Digest)
	for _, seed := range []struct{ before, after string }{
		{"", ""}, {"a", "b"}, {"W/", "/W"}, {"a,b", "a b"}, {"*", "* "}, {"\u00e9", "\xff"}, {tag, tag[:10]},
	} {
		for n := range byte(8) {
			f.Add(seed.before, seed.after, n)
		}
	}
	f.Add("0", ",*,", byte(0))
	f.Fuzz(func(t *testing.T, before, after string, flags byte) {
		foreign := make([]string, 0, 2)
		for _, opaque := range []string{before, after} {
			opaque = opaqueTag(opaque)
			if opaque == tag {
				return
			}
			foreign = append(foreign, opaque)
		}
		isThere, isWeak, inLines := flags&1 != 0, flags&2 != 0, flags&4 != 0
		list := []string{"W/" + foreign[0], foreign[1]}
		if isThere && isWeak {
			list = slices.Insert(list, 1, "W/"+tag)
		} else if isThere {
			list = slices.Insert(list, 1, tag)
		}
		lines := []string{strings.Join(list, " ,\t")}
		if inLines {
			lines = list
		}
		if got := tagsContain(lines, tag, true); got != isThere {
			t.Errorf("%q has %s, weakly compared: %v", lines, tag, got)
		}
		if got := tagsContain(lines, tag, false); got != (isThere && !isWeak) {
			t.Errorf("%q has %s, strongly compared: %v", lines, tag, got)
		}
	})
}

// opaqueTag quotes those bytes of a text that an entity tag may hold.
func opaqueTag(text string) string {
	kept := make([]byte, 0, len(text))
	for _, b := range []byte(text) {
		if b == 0x21 || b >= 0x23 && b != 0x7f {
			kept = append(kept, b)
		}
	}
	return `"` + string(kept) + `"`
}
