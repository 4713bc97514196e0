package integrity

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// verifyReaders read at once: hashing and the disk then both have work.
	verifyReaders = 2

	// maxProblems and maxDamage bound how many problems of the metadata and how many damaged
	// blobs a report has.
	maxProblems = 1_000
	maxDamage   = 10_000
)

// VerifyOptions tune a Verify.
type VerifyOptions struct {
	// Rate bounds the bytes that are read a second. Zero is no bound.
	Rate int64
	// Sample is the share of the blobs that are read, above 0 and below 1, chosen anew by
	// each Verify. Zero is all.
	Sample float64
}

// VerifyProgress is how far a Verify has come.
type VerifyProgress struct {
	// Blobs and Bytes that were read.
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// TotalBlobs and TotalBytes are what there was to read when it began.
	TotalBlobs int64 `json:"total_blobs"`
	TotalBytes int64 `json:"total_bytes"`
	// Damaged is how many of the blobs read are damaged.
	Damaged int64 `json:"damaged"`
}

// VerifyReport is what a Verify found.
type VerifyReport struct {
	// Scrub counts what was read. Its Finished is zero when not all was.
	Scrub store.Scrub
	// Damage is what is damaged, in no particular order, up to 10,000 blobs;
	// Scrub.Damaged counts all.
	Damage []Damage
	// Problems are contradictions in the metadata store, for administrators; with
	// more than 1,000 the last says so. A store without a journal has none to tell.
	Problems []string
}

// Sound tells whether nothing is wrong.
func (v VerifyReport) Sound() bool { return v.Scrub.Damaged == 0 && len(v.Problems) == 0 }

// Verify checks the metadata store and reads every blob now, and deals with damage
// as the scrub does, which waits meanwhile and has then been done, unless only a sample
// was read. One Verify runs at a time; others wait. Progress, which may be nil, is called
// often and never twice at once. When ctx ends or a store fails, the report has what was
// found until then.
func (k *Keeper) Verify(ctx context.Context, options VerifyOptions, progress func(VerifyProgress)) (VerifyReport, error) {
	leave, err := k.scrub.enterVerify(ctx)
	if err != nil {
		return VerifyReport{}, err
	}
	defer leave()
	v := &verification{keeper: k, progress: progress, Report: VerifyReport{Scrub: store.Scrub{Started: k.wallClock()}}}
	v.selects = sampler(options.Sample, rand.Uint64())
	v.pace = newPacer(func() (int64, <-chan struct{}) { return options.Rate, nil })
	if err := v.checkMetadata(ctx); err != nil {
		return v.Report, err
	}
	k.scrub.mu.Lock()
	before := k.scrub.last
	k.scrub.mu.Unlock()
	err = v.readAll(ctx)
	if err == nil {
		v.Report.Scrub.Finished = k.wallClock()
	}
	if err != nil || options.Sample > 0 {
		k.scrub.progress(before, false) // which the background goes on with
		return v.Report, err
	}
	k.scrub.progress(v.Report.Scrub, false)
	k.logScrub(ctx, v.Report.Scrub)
	if err := k.metadata.SaveScrub(ctx, v.Report.Scrub); err != nil {
		return v.Report, fmt.Errorf("saving the scrub: %w", err)
	}
	return v.Report, nil
}

// enterVerify ends the background's turn and waits for it and for other Verify
// calls to be over.
func (s *scrubber) enterVerify(ctx context.Context) (leave func(), err error) {
	s.change(func() { s.verifying++ })
	done := func() { s.change(func() { s.verifying-- }) }
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended != nil {
		select {
		case <-ended: // soon, unless the disk does not answer
		case <-ctx.Done():
			done()
			return nil, ctx.Err()
		}
	}
	select {
	case s.verify <- struct{}{}:
		return func() { <-s.verify; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}

// verification is a Verify in progress.
type verification struct {
	keeper   *Keeper
	pace     *pacer
	progress func(VerifyProgress)
	selects  func(store.Digest) bool

	mu     sync.Mutex
	done   VerifyProgress
	Report VerifyReport
}

func (v *verification) checkMetadata(ctx context.Context) error {
	checked, ok := v.keeper.metadata.(store.Checked)
	if !ok {
		return nil
	}
	err := checked.Check(ctx, func(problem string) {
		switch n := len(v.Report.Problems); {
		case n < maxProblems:
			v.Report.Problems = append(v.Report.Problems, problem)
		case n == maxProblems:
			v.Report.Problems = append(v.Report.Problems, "and more")
		}
	})
	if err != nil {
		return fmt.Errorf("checking metadata: %w", err)
	}
	return nil
}

// readAll reads every blob with several readers.
func (v *verification) readAll(ctx context.Context) error {
	if err := v.each(ctx, v.count); err != nil {
		return err
	}
	v.advance(func() {})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blobs := make(chan store.Blob)
	var readers sync.WaitGroup
	for range verifyReaders {
		readers.Go(func() {
			for blob := range blobs {
				if err := v.read(ctx, blob); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := v.each(ctx, func(blob store.Blob) error {
		select {
		case blobs <- blob:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(blobs)
	readers.Wait()
	// What a reader ran into says more than that the others were told to stop.
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return cause
	}
	return err
}

// each calls visit for every blob that is to be read.
func (v *verification) each(ctx context.Context, visit func(store.Blob) error) error {
	return v.keeper.EachBlob(ctx, store.Digest{}, func(blob store.Blob) error {
		if !v.selects(blob.Digest) {
			return nil
		}
		return visit(blob)
	})
}

// sampler selects a share of all blobs by their digests, which are as good as random. With
// another seed it selects others.
func sampler(share float64, seed uint64) func(store.Digest) bool {
	if share == 0 {
		return func(store.Digest) bool { return true }
	}
	return func(digest store.Digest) bool {
		return float64(binary.BigEndian.Uint64(digest[:])^seed) < share*(1<<64)
	}
}

func (v *verification) count(blob store.Blob) error {
	v.done.TotalBlobs++
	v.done.TotalBytes += blob.Size
	return nil
}

func (v *verification) read(ctx context.Context, blob store.Blob) error {
	damage, err := v.keeper.examine(ctx, blob, v.pace, func(bytes int) {
		v.advance(func() { v.done.Bytes += int64(bytes) })
	})
	if err != nil {
		return err
	}
	v.advance(func() {
		v.done.Blobs++
		v.Report.Scrub.Add(blob, damage != nil)
		if damage == nil {
			return
		}
		v.done.Damaged++
		if len(v.Report.Damage) < maxDamage {
			v.Report.Damage = append(v.Report.Damage, *damage)
		}
	})
	return nil
}

// advance changes what was done, and says so.
func (v *verification) advance(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	v.keeper.scrub.progress(v.Report.Scrub, true)
	if v.progress != nil {
		v.progress(v.done)
	}
}
