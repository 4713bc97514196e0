package backup

import "sync"

// progress counts what several goroutines restore.
type progress struct {
	mu sync.Mutex
	RestoreProgress
}

func (p *progress) begin(source string, expected Totals, report func(RestoreProgress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.RestoreProgress = RestoreProgress{Source: source, Expected: expected}
	p.tell(report)
}

func (p *progress) Add(size int64, report func(RestoreProgress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Blobs++
	p.Bytes += size
	p.tell(report)
}

func (p *progress) tell(report func(RestoreProgress)) {
	if report != nil {
		report(p.RestoreProgress)
	}
}
