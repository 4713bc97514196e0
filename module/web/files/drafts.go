package files

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// DefaultMaxDrafts is the number of drafts that an owner may have by default.
const DefaultMaxDrafts = 100

// Drafts are versions that only writers of the package see, until all files are published
// together.
type Drafts struct {
	// Whether drafts are turned off. Default: false.
	Off bool `json:"off,omitempty"`

	// How long a draft is kept that is not published. Handlers with the same root keep
	// drafts for the longest TTL of these handlers. Zero, the default, is seven days.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The number of drafts that an owner may have. Zero, the default, is 100.
	Max int `json:"max,omitempty"`
}

// Provision fills in defaults.
func (d *Drafts) Provision() error {
	if d.TTL < 0 || d.Max < 0 {
		return errors.New("ttl and max must be above zero, or be left out")
	}
	if d.Max == 0 {
		d.Max = DefaultMaxDrafts
	}
	if d.TTL == 0 && !d.Off {
		d.TTL = caddy.Duration(registry.DefaultDraftTTL)
	}
	return nil
}

const (
	// draftWord is the word of the query that publishes a file into a draft.
	draftWord = "draft"
	// publishWord is the word of the query that publishes a draft.
	publishWord = "publish"
)

var (
	errWordValue = visit.Refuse(http.StatusBadRequest, "the query cannot be read, or the value of draft or publish is not empty, 1 or true")
	errNoDrafts  = visit.Refuse(http.StatusBadRequest, "drafts are turned off here")
	errSums      = visit.Refuse(http.StatusBadRequest, "the body is not a list of checksums as sha256sum writes it")
)

// AsksForDraft tells whether a request publishes into a draft.
func (f *Files) AsksForDraft(r *http.Request) (bool, error) {
	if _, err := f.asksFor(publishWord, r); err != nil {
		return false, err
	}
	return f.asksFor(draftWord, r)
}

// LimitsOf returns the limits of what is published into an owner's packages, or into a draft
// of one.
func (f *Files) LimitsOf(v *visit.Visit, draft bool) registry.Limits {
	limits := v.Limits()
	limits.Draft, limits.Quota.Drafts = draft, int64(f.Drafts.Max)
	return limits
}

// SayDraft says in an answer that a file is a draft's: a Gitea would have published it.
func SayDraft(header http.Header) { header.Set("X-Publish", draftWord) }

// asksFor tells whether the query of a request has a word. What is not clear is refused: a
// plain publish in place of a draft could not be taken back.
func (f *Files) asksFor(word string, r *http.Request) (bool, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false, errWordValue
	}
	values, has := query[word]
	switch {
	case !has:
		return false, nil
	case slices.ContainsFunc(values, func(value string) bool { return value != "" && value != "1" && value != "true" }):
		return false, errWordValue
	case f.Drafts.Off:
		return false, errNoDrafts
	}
	return true, nil
}

// publishDraft makes a draft visible. A body says which files it must have.
func (f *Files) publishDraft(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(grant.Write, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if _, err := f.asksFor(publishWord, r); err != nil {
		return err
	}
	body, done, err := f.Upload.Verified(w, r)
	if err != nil {
		return err
	}
	defer done()
	err = v.Use(func(reg *registry.Registry) error {
		isDraft, err := f.exists(r, v, reg)
		if err != nil {
			return err
		}
		// A version has no entity tag and no date.
		if err := send.CheckConditions(r.Header, true, store.File{}); err != nil {
			return err
		}
		if !isDraft {
			v.Untold()
		}
		counted := &list{body: body}
		defer counted.forget()
		admitted, release, err := reg.Admit(v.User(), v.Limits(), registry.Content{Body: counted, Size: r.ContentLength})
		if err != nil {
			return err
		}
		defer release()
		expected, err := parseSums(admitted)
		if errors.Is(err, store.ErrDigest) {
			return errors.Join(receive.Mismatch(r.Header), err)
		}
		if err != nil {
			return err
		}
		differences, err := reg.PublishDraft(r.Context(), v.About.VersionRef, expected, v.User())
		if errors.Is(err, store.ErrDifferent) {
			return visit.Tell(err, "%s", describe(differences))
		}
		return err
	})
	if err != nil {
		return err
	}
	v.Answered(http.StatusOK)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// exists reports whether there is the version of a visit, and tells whether it is a draft.
func (f *Files) exists(r *http.Request, v *visit.Visit, reg *registry.Registry) (isDraft bool, err error) {
	isDraft, err = f.isDraft(r, v, reg)
	if err == nil && !isDraft {
		_, err = reg.FindVersion(r.Context(), v.About.VersionRef)
	}
	return isDraft, err
}

// maxDescribed is how many differences are told.
const maxDescribed = 1000

// describe says one line for each difference, and how many more there are.
func describe(differences []store.Difference) string {
	var text strings.Builder
	text.WriteString(store.ErrDifferent.Error() + ":")
	for _, difference := range differences[:min(len(differences), maxDescribed)] {
		fmt.Fprintf(&text, "\n%s %s", difference.Kind, difference.File)
	}
	if more := len(differences) - maxDescribed; more > 0 {
		fmt.Fprintf(&text, "\nand %d more", more)
	}
	return text.String()
}
