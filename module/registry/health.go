package registry

// Health is how a registry is.
type Health struct {
	// Metadata and Blobs are the conditions of the two stores.
	Metadata, Blobs Condition
	Scrub           ScrubHealth
	Damage          DamageHealth
	Sweep           SweepHealth
}

// ScrubHealth is how far the comparing of blobs with their digests came.
type ScrubHealth struct {
	// Scrub is the pass under way, or the last one. Zero before the first.
	Scrub
	// Rate in bytes per second, 0 when off.
	Rate int64
	// Reading tells whether blobs are being read now.
	Reading bool
	// Fault is why the pass cannot go on now. Nil when it can.
	Fault error
	// TotalBlobs and TotalBytes were read since the registry was opened.
	TotalBlobs, TotalBytes int64
}

// DamageHealth is what is known to be damaged.
type DamageHealth struct {
	// Count of damaged blobs.
	Count int64
	// Digests of the first 100 of them, in order.
	Digests []Digest
}

const healthDigests = 100

// Ready tells whether changes are taken: both stores take them and have more room
// than their reserves. Damage is no reason against it: all else can be served.
func (h Health) Ready() bool {
	return h.Live() && h.Metadata.takesChanges() && h.Blobs.takesChanges()
}

// Live tells whether files can be read.
func (h Health) Live() bool { return h.Metadata.Readable && h.Blobs.Readable }

func (c Condition) takesChanges() bool { return c.Fault == nil && !c.Space.IsShort() }

// IsShort tells whether less than the reserve is free.
func (s Space) IsShort() bool { return s.Free < s.Reserve || s.FreeFiles < s.ReserveFiles }

// Health returns how the registry is, at once.
func (r *Registry) Health() Health {
	h := Health{Metadata: r.metadata.Condition(), Blobs: r.blobs.Condition()}
	h.Damage.Count, h.Damage.Digests = r.damage.summary(healthDigests)
	if fault := r.isBehind(); fault != nil && h.Metadata.Fault == nil {
		h.Metadata.Fault = fault
	}
	h.Sweep.Withheld = r.sweeper.withheld.Load()
	s := &r.scrub
	h.Scrub.TotalBlobs, h.Scrub.TotalBytes = s.readBlobs.Load(), s.readBytes.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Scrub.Scrub, h.Scrub.Rate, h.Scrub.Reading, h.Scrub.Fault = s.last, s.rate, s.reading, s.fault
	return h
}
