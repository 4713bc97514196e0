package registry

import "sync/atomic"

// Published is what was published since the registry was opened.
type Published struct {
	// Files and their Bytes.
	Files, Bytes int64
	// Known are the bytes of contents that were stored already, of those files that could
	// not replace another one.
	Known int64
}

// UploadsHealth is what is in progress.
type UploadsHealth struct {
	// Requests of which bytes have come, and which may bring more.
	Requests int
	// Sessions are resumable uploads that are begun and not finished.
	Sessions int
}

// published counts.
type published struct{ files, bytes, known atomic.Int64 }

func (p *published) note(size int64, known bool) {
	p.files.Add(1)
	p.bytes.Add(size)
	if known {
		p.known.Add(size)
	}
}

func (p *published) read() Published {
	return Published{Files: p.files.Load(), Bytes: p.bytes.Load(), Known: p.known.Load()}
}

// unfinished counts the resumable uploads that may go on.
func (r *Registry) unfinished() int {
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	return len(r.uploads.known) - r.uploads.ended
}
