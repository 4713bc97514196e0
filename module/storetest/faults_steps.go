package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// largeContent takes several writes, some of them beside the reading, and is large
// enough to have its blocks set aside.
var largeContent = string(pattern(2<<20 + 1))

// fixedScenario has every kind of step, each where it has something to do.
func fixedScenario() []faultStep {
	small := ref("alice", "p", "1", "small")
	cut, left := ref("dave", "u", "1", "cut"), ref("dave", "u", "1", "left")
	return []faultStep{
		openStep,
		publishStep(small, "small"),
		publishStep(ref("alice", "p", "1", "large"), largeContent),
		publishStep(ref("bob", "q", "1", "copy"), "small"),
		publishStep(small, "other"),
		mismatchStep(ref("alice", "p", "1", "mismatch"), "mismatch"),
		publishStep(ref("bob", "q", "2", "one"), "one"),
		publishStep(ref("bob", "q", "2", "two"), "two"),
		deleteFileStep(small),
		deleteVersionStep(ref("bob", "q", "2", "").VersionRef),
		reapStep,
		orphanStep,
		sweepStep,
		quarantineStep(ref("bob", "q", "1", "copy")),
		publishStep(ref("carol", "r", "1", "healer"), "small"),
		reapStep,
		beginUploadStep(left, string(pattern(200_001))),
		appendStep(left, 100_000),
		beginUploadStep(cut, string(pattern(300_001))),
		appendStep(cut, 100_000),
		leaveStep,
		closeStep,
		openStep,
		appendStep(cut, 200_000),
		appendStep(cut, 300_001),
		publishStep(ref("carol", "r", "1", "later"), "later"),
		quarantineStep(ref("carol", "r", "1", "later")),
		deleteFileStep(ref("carol", "r", "1", "later")),
		deleteVersionStep(ref("bob", "q", "1", "").VersionRef),
		deleteFileStep(ref("bob", "q", "1", "copy")),
		reapStep,
		sweepStep,
		closeStep,
		openStep,
	}
}

// randomScenario draws steps; the same ones for a seed.
func randomScenario(seed uint64) []faultStep {
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	file := func() store.Ref { return ref(pick("alice", "bob"), "p", pick("1", "2"), pick("f", "g")) }
	steps := []faultStep{openStep}
	for range 24 {
		switch random.IntN(12) {
		case 0, 1, 2, 3:
			steps = append(steps, publishStep(file(), pick("one", "two", largeContent)))
		case 4:
			steps = append(steps, mismatchStep(file(), pick("one", largeContent)))
		case 5:
			steps = append(steps, deleteFileStep(file()))
		case 6:
			steps = append(steps, deleteVersionStep(file().VersionRef))
		case 7:
			steps = append(steps, reapStep)
		case 8:
			steps = append(steps, orphanStep)
		case 9:
			steps = append(steps, sweepStep)
		case 10:
			steps = append(steps, quarantineStep(file()))
		case 11:
			steps = append(steps, leaveStep, closeStep, openStep)
		}
	}
	return steps
}

var (
	openStep  = faultStep{"open", func(r *faultRun) error { return r.start(r.fsys) }}
	closeStep = faultStep{"close", (*faultRun).stop}
	reapStep  = faultStep{"reap", func(r *faultRun) error { _, err := r.Reap(context.Background()); return err }}
	sweepStep = faultStep{"sweep", func(r *faultRun) error {
		r.late = true
		defer func() { r.late = false }()
		for range 2 { // the second deletes what both found
			if _, err := r.Sweep(context.Background()); err != nil {
				return err
			}
		}
		clear(r.orphans)
		return nil
	}}
	orphanStep = faultStep{"write bytes that nothing names", func(r *faultRun) error {
		w, err := r.beginUpload(int64(len(orphan)))
		if err != nil {
			return err
		}
		locator, err := w.Commit(context.Background())
		if err != nil {
			return errors.Join(err, w.Abort())
		}
		r.orphans[locator] = true
		return nil
	}}
	leaveStep = faultStep{"leave an upload", func(r *faultRun) error {
		// Of more than fits a pack, which has a file of its own.
		_, err := r.beginUpload(1<<20 - 1)
		if err == nil {
			r.uploading++
		}
		return err
	}}
)

const orphan = "orphan"

// beginUpload writes an orphan that is not committed yet, and says that it has a size.
func (r *faultRun) beginUpload(size int64) (store.BlobWriter, error) {
	w, err := r.blobs.Create(context.Background(), size)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(orphan)); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (r *faultRun) publish(target store.Ref, content string, digest *store.Digest) error {
	_, err := r.Publish(context.Background(), target, "alice", registry.Content{
		Body: strings.NewReader(content), Size: int64(len(content)), SHA256: digest,
	}, registry.Limits{})
	return err
}

func publishStep(target store.Ref, content string) faultStep {
	return faultStep{fmt.Sprintf("publish %s of %d bytes", target.File, len(content)), func(r *faultRun) error {
		return r.published(target, content, r.publish(target, content, nil))
	}}
}

// mismatchStep publishes what does not have the digest that it should.
func mismatchStep(target store.Ref, content string) faultStep {
	return faultStep{"publish " + target.File + " with a wrong digest", func(r *faultRun) error {
		wrong := digestOf("another")
		err := r.publish(target, content, &wrong)
		if errors.Is(err, store.ErrDigest) && !errors.Is(err, r.mode.fault.Err) {
			return nil
		}
		if err == nil {
			r.violate("bytes of another digest are published")
		}
		return err
	}}
}

func deleteFileStep(target store.Ref) faultStep {
	return faultStep{"delete file " + target.File, func(r *faultRun) error {
		return r.deleted(r.DeleteFile(context.Background(), target, store.Act{User: "alice"}), target)
	}}
}

func deleteVersionStep(target store.VersionRef) faultStep {
	return faultStep{"delete version " + target.Version, func(r *faultRun) error {
		return r.deleted(r.DeleteVersion(context.Background(), target, store.Act{User: "alice"}), r.refsOf(target)...)
	}}
}

// quarantineStep puts the bytes of a file aside, as a scrub does that finds them
// damaged.
func quarantineStep(target store.Ref) faultStep {
	return faultStep{"quarantine the bytes of " + target.File, func(r *faultRun) error {
		file, err := r.Lookup(context.Background(), target)
		if err != nil {
			return r.looked(target, err)
		}
		content := r.contentOf(file.Digest)
		before := r.bytes[content]
		err = r.blobs.Quarantine(context.Background(), file.Locator)
		r.quarantined(content, err)
		if err == nil && !before.gone {
			r.aside[file.Locator] = content
		}
		return err
	}}
}
