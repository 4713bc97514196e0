package badger

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/descriptors"
)

// home is where a store is, and how it gets at the disk.
type home struct {
	claim *directory.Claim
	kept  atomic.Pointer[journal.Keep]
	space *space
	// descriptors are of the process; each store holds some.
	descriptors *descriptors.Descriptors

	log   *slog.Logger
	fsys  disk.FS
	signs atomic.Int64 // that Badger gets on
	told  told         // what Badger said
	stuck atomic.Bool  // Badger may write on, whatever becomes of this store

	readOnly bool            // the file system takes no writes
	carrier  journal.Carrier // of the journal's lines; may be nil

	// Tests have these otherwise.
	segment               int64 // size of the journal's segments; 0 is the default
	inline                bool  // compress them, and make checkpoints, at once
	checkpointLeast       int   // checkpointLeast
	idle, retry, patience time.Duration
	delay                 time.Duration // persistDelay
	hang                  time.Duration // hangTime
}

func (h *home) path() string { return h.claim.Path }

func (h *home) journalPath() string { return filepath.Join(h.path(), journalDirectory) }

// keep is which segments of the journal stay.
func (h *home) keep() journal.Keep {
	if kept := h.kept.Load(); kept != nil {
		return *kept
	}
	return journal.Keep{}
}

func (h *home) journalOptions() journal.Options {
	return journal.Options{FS: h.fsys, Log: h.log, SegmentSize: h.segment, Room: h.space.forMore, Carrier: h.carrier, Inline: h.inline}
}

// take claims a directory. Nothing in it is opened yet.
func take(path string, reserve int64, log *slog.Logger, fsys disk.FS, carrier journal.Carrier) (*home, error) {
	claim, err := directory.Take(path, layout, layoutVersion)
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	h := &home{
		claim: claim, log: log, fsys: fsys, carrier: carrier,
		space: &space{path: claim.Path, fsys: fsys, log: log}, descriptors: descriptors.New(),
		idle: idleInterval, retry: retryInterval, patience: compactionPatience, delay: persistDelay, hang: hangTime,
		checkpointLeast: checkpointLeast,
		readOnly:        disk.IsReadOnly(claim.Path),
	}
	h.space.reserve.Store(reserve)
	return h, nil
}

// release gives the directory back after an error, or none, unless Badger may still
// write to it.
func (h *home) release(err error) error {
	h.descriptors.LetGo(descriptors.Held)
	if h.stuck.Load() {
		h.claim.Abandon()
		return err
	}
	return errors.Join(err, h.claim.Release())
}
