package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// absent is the content of a file that is not there. No step publishes it.
const absent = ""

// faultHistory is what may be true of each file, given what was acknowledged,
// what was refused, and what is open.
type faultHistory struct {
	unclear bool // a change that failed may have happened
	files   map[store.Ref]map[string]bool
	bytes   map[string]inPlace // of each content that was published

	// pending are deletes of several files of which the outcome is open.
	pending [][]store.Ref
}

// inPlace is what may be true of a content's bytes: they may be good, or gone. With a
// publish open that may have put new ones in the place of those that are gone, only
// the old ones are known by name.
type inPlace struct{ good, gone, renewed bool }

func newFaultHistory(unclear bool) *faultHistory {
	return &faultHistory{unclear: unclear, files: make(map[store.Ref]map[string]bool), bytes: make(map[string]inPlace)}
}

// may returns the contents that a file may have.
func (h *faultHistory) may(target store.Ref) map[string]bool {
	if h.files[target] == nil {
		h.files[target] = map[string]bool{absent: true}
	}
	return h.files[target]
}

func (h *faultHistory) mustBe(target store.Ref, content string) {
	h.files[target] = map[string]bool{content: true}
}

// changesNothing tells whether an error says that nothing happened.
func (h *faultHistory) changesNothing(err error) bool {
	return !h.unclear || errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnavailable)
}

// published notes what came of a publish, and returns an error that is not one of
// those which the history allows.
func (h *faultHistory) published(target store.Ref, content string, err error) error {
	may := h.may(target)
	switch {
	case err == nil && !may[absent]:
		return fmt.Errorf("%s is published twice", target.File)
	case err == nil:
		h.mustBe(target, content)
		h.bytes[content] = inPlace{good: true}
	case errors.Is(err, store.ErrExists) && (len(may) > 1 || !may[absent]):
		delete(may, absent)
		return nil
	case h.changesNothing(err):
	case may[absent]:
		may[content] = true
		gone := h.bytes[content].gone
		h.bytes[content] = inPlace{good: true, gone: gone, renewed: gone}
	}
	return err
}

// deleted notes what came of a delete of one or more files at once.
func (h *faultHistory) deleted(err error, targets ...store.Ref) error {
	missing := errors.Is(err, store.ErrPackageNotFound) || errors.Is(err, store.ErrFileNotFound)
	mayExist := slices.ContainsFunc(targets, func(r store.Ref) bool { return len(h.may(r)) > 1 || !h.may(r)[absent] })
	mustExist := slices.ContainsFunc(targets, func(r store.Ref) bool { return !h.may(r)[absent] })
	switch {
	case err == nil && !mayExist:
		return errors.New("what is not there is deleted")
	case missing && mustExist:
		return fmt.Errorf("a file that is there is missing: %w", err)
	case err == nil, missing:
		for _, target := range targets {
			h.mustBe(target, absent)
		}
		return nil
	case h.changesNothing(err):
		return err
	}
	h.pending = append(h.pending, slices.DeleteFunc(slices.Clone(targets), func(r store.Ref) bool { return h.may(r)[absent] }))
	for _, target := range targets {
		h.may(target)[absent] = true
	}
	return err
}

// looked judges the error of looking a file up.
func (h *faultHistory) looked(target store.Ref, err error) error {
	missing := errors.Is(err, store.ErrPackageNotFound) || errors.Is(err, store.ErrFileNotFound)
	if missing && h.may(target)[absent] {
		return nil
	}
	return err
}

// quarantined notes what came of putting a content's bytes aside.
func (h *faultHistory) quarantined(content string, err error) {
	was := h.bytes[content]
	h.bytes[content] = inPlace{good: (err != nil || was.renewed) && was.good, gone: true, renewed: was.renewed}
}

// read judges what reading a file gave.
func (h *faultHistory) read(target store.Ref, content string, err error) error {
	may := h.may(target)
	if errors.Is(err, store.ErrDamaged) {
		for possible := range may {
			if h.bytes[possible].gone {
				return nil
			}
		}
		return fmt.Errorf("%s has no bytes: %w", target.File, err)
	}
	if err != nil {
		if h.looked(target, err) == nil {
			return nil
		}
		return fmt.Errorf("%s is lost: %w", target.File, err)
	}
	if !may[content] {
		return fmt.Errorf("%s has %d bytes that it cannot have, of %d possible contents", target.File, len(content), len(may))
	}
	if !h.bytes[content].good {
		return fmt.Errorf("%s has the bytes that are quarantined", target.File)
	}
	return nil
}

// settle says what a file has, now that nothing is open any more.
func (h *faultHistory) settle(target store.Ref, content string, err error) {
	switch {
	case err == nil:
		h.mustBe(target, content)
	case !errors.Is(err, store.ErrDamaged):
		h.mustBe(target, absent)
	default:
		delete(h.may(target), absent)
	}
}

// checkPending holds that a delete of several files happened or did not.
func (h *faultHistory) checkPending() error {
	for _, targets := range h.pending {
		left := 0
		for _, target := range targets {
			if !h.may(target)[absent] {
				left++
			}
		}
		if left != 0 && left != len(targets) {
			return fmt.Errorf("a version was half deleted: %d of %d files are left", left, len(targets))
		}
	}
	return nil
}

// refsOf returns the files that a version may have.
func (h *faultHistory) refsOf(target store.VersionRef) []store.Ref {
	var refs []store.Ref
	for _, r := range h.refs() {
		if r.VersionRef == target {
			refs = append(refs, r)
		}
	}
	return refs
}

// refs returns every file that was ever touched, in an order.
func (h *faultHistory) refs() []store.Ref {
	return slices.SortedFunc(maps.Keys(h.files), compareRefs)
}

// contentOf returns the content that was published with a digest.
func (h *faultHistory) contentOf(digest store.Digest) string {
	for content := range h.bytes {
		if digestOf(content) == digest {
			return content
		}
	}
	return absent
}
