// Package memory keeps both stores of a registry in memory. It is the reference for the
// contract suites and the models; nothing else uses it.
package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Metadata is a place for metadata: what one store leaves, the next one finds.
type Metadata struct {
	mu     sync.Mutex
	isOpen bool
	state
	memoryJournal
	following
}

// state is what the changes in a journal make.
type state struct {
	id        string
	versions  map[store.VersionRef]*version
	blobs     map[store.Digest]*blob
	condemned map[store.Locator]bool
	graves    []*version // deleted, with files to release
	tokens    map[string]*token
	scrub     store.Scrub
	lastID    int64 // that was given out, to a version or a file
}

func newState(id string) state {
	return state{
		id:        id,
		versions:  make(map[store.VersionRef]*version),
		blobs:     make(map[store.Digest]*blob),
		condemned: make(map[store.Locator]bool),
		tokens:    make(map[string]*token),
	}
}

type version struct {
	ref     store.VersionRef // as first published
	id      int64
	rank    string
	creator string
	created time.Time
	files   map[string]store.File

	draft      bool
	released   int64 // files of lower ids have the version's time
	downloads  int64
	downloaded time.Time
}

type blob struct {
	locator    store.Locator
	size       int64
	references int
	hashes     store.Hashes
	damage     store.DamageKind
}

// NewMetadata returns an empty place.
func NewMetadata() *Metadata { return &Metadata{state: newState(rand.Text())} }

// Open opens a store on the place. ErrLocked while another one is open.
func (m *Metadata) Open() (store.MetadataStore, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isOpen {
		return nil, fmt.Errorf("%w: this place in memory", store.ErrLocked)
	}
	m.isOpen = true
	return &metadataStore{place: m}, nil
}

type metadataStore struct {
	place  *Metadata
	closed bool // guarded by place.mu, as is all else
}

// enter locks the place; leave with the function returned.
func (s *metadataStore) enter(ctx context.Context) (*Metadata, func(), error) {
	s.place.mu.Lock()
	err := ctx.Err()
	if s.closed {
		err = fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	if err != nil {
		s.place.mu.Unlock()
		return nil, nil, err
	}
	return s.place, s.place.mu.Unlock, nil
}

func (s *metadataStore) Admit(ctx context.Context) error {
	_, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	leave()
	return nil
}

func (s *metadataStore) Clock() time.Time { return time.Now() }

// refusal says why a publication cannot be, or nil. v is its version, if known.
func (m *Metadata) refusal(v *version, p store.Publication) error {
	var current int64
	if v != nil {
		current = v.files[store.Fold(p.Ref.File)].ID
	}
	if p.Current != nil && *p.Current != current {
		return store.ErrChanged
	}
	usage := m.usage(p.Ref.Owner)
	usage.Bytes += p.Size
	usage.Files++
	if v == nil {
		usage.Versions++
		if p.Draft && p.Quota.Drafts > 0 && usage.Drafts >= p.Quota.Drafts {
			return store.ErrQuotaDrafts
		}
		return p.Quota.Check(usage)
	}
	if err := p.CheckState(v.draft); err != nil {
		return err
	}
	old, exists := v.files[store.Fold(p.Ref.File)]
	switch {
	case exists && p.OnDuplicate != store.Reject && old.Digest == p.Digest:
		return nil
	case exists && (p.OnDuplicate != store.Replace || m.blobs[old.Digest].locator == p.Locator):
		return store.ErrExists
	case exists:
		usage.Bytes -= old.Size
		usage.Files--
	}
	return p.Quota.Check(usage)
}

// usage counts anew each time, where a real store keeps count.
func (m *Metadata) usage(owner string) (u store.Usage) {
	for ref, v := range m.versions {
		if ref.Owner != store.Fold(owner) {
			continue
		}
		u.Versions++
		if v.draft {
			u.Drafts++
		}
		for _, file := range v.files {
			u.Bytes += file.Size
			u.Files++
		}
	}
	return u
}

func (s *metadataStore) Usage(ctx context.Context, owner string) (store.Usage, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.Usage{}, err
	}
	defer leave()
	return m.usage(owner), nil
}

func (s *metadataStore) Lookup(ctx context.Context, ref store.Ref) (store.File, error) {
	return s.lookup(ctx, ref, false)
}

func (s *metadataStore) LookupDraft(ctx context.Context, ref store.Ref) (store.File, error) {
	return s.lookup(ctx, ref, true)
}

func (s *metadataStore) lookup(ctx context.Context, ref store.Ref, draft bool) (store.File, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.File{}, err
	}
	defer leave()
	v := m.versions[ref.VersionRef.Key()]
	if v == nil || v.draft != draft {
		return store.File{}, store.ErrPackageNotFound
	}
	file, found := v.files[store.Fold(ref.File)]
	if !found {
		return store.File{}, store.ErrFileNotFound
	}
	return m.shown(v, file), nil
}

// shown is a file as clients see it.
func (m *state) shown(v *version, file store.File) store.File {
	b := m.blobs[file.Digest]
	file.Locator, file.Hashes, file.Damage = b.locator, b.hashes, b.damage
	if file.ID < v.released {
		file.Created = v.created
	}
	return file
}

func (s *metadataStore) FindBlob(ctx context.Context, digest store.Digest) (store.Blob, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.Blob{}, err
	}
	defer leave()
	b := m.blobs[digest]
	if b == nil {
		return store.Blob{}, store.ErrBlobNotFound
	}
	return b.of(digest), nil
}

// emptyGrave releases the files of a deleted version.
func (m *state) emptyGrave() {
	for _, file := range m.graves[0].files {
		m.release(file.Digest)
	}
	m.graves = m.graves[1:]
}

func (s *metadataStore) Reclaim(ctx context.Context, limit int) ([]store.Locator, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for len(m.condemned) < limit && len(m.graves) > 0 {
		m.emptyGrave()
	}
	var locators []store.Locator
	for locator := range m.condemned {
		if len(locators) == limit {
			break
		}
		locators = append(locators, locator)
	}
	return locators, nil
}

func (s *metadataStore) CleanUp(ctx context.Context) (more bool, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	if len(m.graves) > 0 {
		m.emptyGrave()
	}
	return len(m.graves) > 0, nil
}

func (s *metadataStore) Bury(ctx context.Context, locators []store.Locator) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, locator := range locators {
		delete(m.condemned, locator)
	}
	return nil
}

func (s *metadataStore) Unnamed(ctx context.Context, locators []store.Locator) ([]store.Locator, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	named := make(map[store.Locator]bool, len(m.blobs))
	for _, b := range m.blobs {
		named[b.locator] = true
	}
	var unnamed []store.Locator
	for _, locator := range locators {
		if !named[locator] && !m.condemned[locator] {
			unnamed = append(unnamed, locator)
		}
	}
	return unnamed, nil
}

func (s *metadataStore) Blobs(ctx context.Context, after store.Digest, limit int) ([]store.Blob, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var blobs []store.Blob
	for digest, b := range m.blobs {
		if bytes.Compare(digest[:], after[:]) > 0 {
			blobs = append(blobs, b.of(digest))
		}
	}
	slices.SortFunc(blobs, func(a, b store.Blob) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return blobs[:min(len(blobs), limit)], nil
}

func (b *blob) of(digest store.Digest) store.Blob {
	return store.Blob{Locator: b.locator, Digest: digest, Size: b.size, Damage: b.damage}
}

func (s *metadataStore) MarkDamage(ctx context.Context, blob store.Blob, kind store.DamageKind) (news bool, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	b := m.blobs[blob.Digest]
	if b == nil || b.locator != blob.Locator {
		return false, store.ErrBlobNotFound
	}
	if news = (b.damage == "") != (kind == ""); news {
		b.damage = kind
	}
	return news, nil
}

func (s *metadataStore) Damaged(ctx context.Context, limit int) (count int64, digests []store.Digest, err error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	for digest, b := range m.blobs {
		if b.damage != "" {
			digests = append(digests, digest)
		}
	}
	slices.SortFunc(digests, func(a, b store.Digest) int { return bytes.Compare(a[:], b[:]) })
	return int64(len(digests)), digests[:min(len(digests), limit)], nil
}

func (s *metadataStore) SaveScrub(ctx context.Context, scrub store.Scrub) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	m.scrub = scrub
	return nil
}

func (s *metadataStore) LastScrub(ctx context.Context) (store.Scrub, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.Scrub{}, err
	}
	defer leave()
	return m.scrub, nil
}

func (s *metadataStore) Condition() store.Condition {
	_, leave, err := s.enter(context.Background())
	if err != nil {
		return store.Condition{Fault: err}
	}
	defer leave()
	return store.Condition{Readable: true, Journal: s.place.memoryJournal.at}
}

func (s *metadataStore) ID() string { return s.place.id }

func (s *metadataStore) Close() error {
	s.place.mu.Lock()
	defer s.place.mu.Unlock()
	if !s.closed {
		s.closed, s.place.isOpen = true, false
	}
	return nil
}
