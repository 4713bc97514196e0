package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func compareRefs(a, b store.Ref) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

// read returns the bytes of a file, which have its digest.
func (r *faultRun) read(target store.Ref) (string, error) {
	file, reader, err := r.Open(context.Background(), target)
	if err != nil {
		return "", err
	}
	content := make([]byte, file.Size)
	_, err = io.ReadFull(reader, content)
	if err == nil && digestOf(string(content)) != file.Digest {
		err = errors.New("bytes do not have the file's digest")
	}
	return string(content), errors.Join(err, reader.Close())
}

// checkFiles compares every file with the history, and gives what was read to
// others.
func (r *faultRun) checkFiles(when string, others ...func(store.Ref, string, error)) {
	if r.Registry == nil {
		return
	}
	for _, target := range r.refs() {
		var content string
		err := r.patiently(faultStep{"read it", func(r *faultRun) (err error) {
			content, err = r.read(target)
			return err
		}})
		if err := r.faultHistory.read(target, content, err); err != nil {
			r.violate("%s: %v", when, err)
		}
		for _, other := range others {
			other(target, content, err)
		}
	}
}

// checkTidy holds what is true after a step that no fault has kept from doing all
// that it does.
func (r *faultRun) checkTidy(step string) {
	if left := r.names(r.place.Uploads); len(left) != r.uploading {
		r.violate("%s: %d uploads are on disk, %d are in progress", step, len(left), r.uploading)
	}
	switch step {
	case reapStep.name:
		condemned, err := r.metadata.Reclaim(context.Background(), 1)
		if err != nil || len(condemned) > 0 {
			r.violate("%s: %v is condemned, %v", step, condemned, err)
		}
		r.checkBlobs(step)
	case sweepStep.name:
		unnamed, err := r.metadata.Unnamed(context.Background(), r.walked())
		if err != nil || len(unnamed) > 0 {
			r.violate("%s: %v is unnamed, %v", step, unnamed, err)
		}
	}
}

// walked returns the locators of all blobs, without those of uploads that go on.
func (r *faultRun) walked() (locators []store.Locator) {
	uploads := r.uploadedTo()
	err := r.blobs.Walk(context.Background(), func(locator store.Locator, _ int64, _ time.Time) error {
		if !uploads[locator] {
			locators = append(locators, locator)
		}
		return nil
	})
	if err != nil {
		r.violate("walking: %v", err)
	}
	return locators
}

// checkBlobs holds that exactly the blobs that files refer to are on disk, besides
// the orphans.
func (r *faultRun) checkBlobs(when string) {
	named := make(map[store.Locator]bool)
	for _, target := range r.refs() {
		if file, err := r.Lookup(context.Background(), target); err == nil {
			named[file.Locator] = true
		}
	}
	for _, locator := range r.walked() {
		if !named[locator] && !r.orphans[locator] {
			r.violate("%s: %s is on disk, and no file refers to it", when, locator)
		}
	}
	// That each file has its bytes is for checkFiles.
}

// checkAside holds that what was quarantined is in quarantine and nowhere else.
func (r *faultRun) checkAside() {
	kept := make(map[string]int)
	for _, name := range r.names(r.place.Quarantine) {
		content, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(r.place.Quarantine), name))
		if err != nil {
			r.violate("reading what is in quarantine: %v", err)
		}
		kept[string(content)]++
	}
	for locator, content := range r.aside {
		if _, err := r.blobs.Stat(context.Background(), locator); !errors.Is(err, store.ErrBlobNotFound) {
			r.violate("%s was quarantined and is in its place: %v", locator, err)
		}
		if kept[content]--; kept[content] < 0 {
			r.violate("%s was quarantined and has no bytes there", locator)
		}
	}
}

// checkLeft opens what the end of the process left, and compares it with all that
// was acknowledged.
func (r *faultRun) checkLeft() {
	fsys := disktest.New(r.root, disktest.Fault{})
	defer fsys.Kill()
	if err := r.start(fsys); err != nil {
		r.violate("opening what is left: %v", err)
		return
	}
	r.checkTidy("opening what is left")
	r.checkFiles("in what is left", r.settle)
	if err := r.checkPending(); err != nil {
		r.violate("in what is left: %v", err)
	}
	r.checkAside()
	r.finishUploads()
	for _, step := range []faultStep{reapStep, sweepStep} {
		if err := step.do(r); err != nil {
			r.violate("cleaning up: %v", err)
		}
	}
	r.checkTidy(reapStep.name)
	r.checkTidy(sweepStep.name)
	r.checkFiles("after cleaning up")
	r.checkAside()
	r.wantWorks("after it was opened again")
	if err := r.stop(); err != nil {
		r.violate("closing what is left: %v", err)
	}
}

// wantWorks publishes a file, reads and deletes it.
func (r *faultRun) wantWorks(when string) {
	target := ref("works", "w", "1", when)
	for _, step := range []faultStep{
		publishStep(target, "works"),
		{"read it", func(r *faultRun) error {
			content, err := r.read(target)
			return r.faultHistory.read(target, content, err)
		}},
		deleteFileStep(target),
	} {
		if err := r.patiently(step); err != nil {
			r.violate("%s: %s: %v", when, step.name, err)
			return
		}
	}
}

// patiently does a step, again and again while a store heals itself.
func (r *faultRun) patiently(step faultStep) error {
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := step.do(r)
		if !r.place.Journal || !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return err
		}
	}
}
