package memory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// Every change is journalled, then made from what the journal has: so a replay
// makes the same.

func (s *metadataStore) Publish(ctx context.Context, p store.Publication) (store.File, bool, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return store.File{}, false, err
	}
	defer leave()
	if err := p.CheckAge(s.Clock()); err != nil {
		return store.File{}, false, err
	}
	if m.condemned[p.Locator] {
		return store.File{}, false, fmt.Errorf("%w: the bytes are condemned", store.ErrUnavailable)
	}
	v := m.versions[p.Ref.VersionRef.Key()]
	of, isNamed := m.digestAt(p.Locator)
	if v != nil && isNamed && of == p.Digest {
		if made, found := v.files[store.Fold(p.Ref.File)]; found && made.Digest == p.Digest {
			return m.shown(v, made), false, nil
		}
	}
	if err := m.refusal(v, p); err != nil {
		if !isNamed {
			m.condemned[p.Locator] = true
		}
		return store.File{}, !isNamed, err
	}
	_, replaces := m.blobs[p.Digest]
	if v != nil {
		if old, exists := v.files[store.Fold(p.Ref.File)]; exists {
			return m.republish(p, v, old)
		}
	}
	file := store.File{Blob: p.Blob, Creator: p.Creator, Created: p.Created}
	change := store.PublishChange(p.Ref, file)
	if v == nil {
		m.lastID++
		change.VersionID, change.Rank = m.lastID, p.Rank
	} else {
		change.VersionID = v.id
	}
	m.lastID++
	change.ID, change.Draft = m.lastID, p.Draft
	if err := m.change(change); err != nil {
		return store.File{}, false, err
	}
	v = m.versions[p.Ref.VersionRef.Key()]
	return m.shown(v, v.files[store.Fold(p.Ref.File)]), replaces, nil
}

// digestAt finds the digest of the blob that has the bytes at a locator.
func (m *Metadata) digestAt(locator store.Locator) (of store.Digest, found bool) {
	for of, b := range m.blobs {
		if b.locator == locator {
			return of, true
		}
	}
	return of, false
}

// republish has new bytes take the place of a file's.
func (m *Metadata) republish(p store.Publication, v *version, old store.File) (store.File, bool, error) {
	change := store.PublishChange(p.Ref, store.File{Blob: p.Blob, ID: old.ID, Creator: p.Creator, Created: p.Created})
	change.VersionID, change.Draft = v.id, p.Draft
	if old.Digest == p.Digest {
		change.Operation = store.OperationRenew
	} else {
		m.lastID++
		change.ID, change.Replaced = m.lastID, true
	}
	if err := m.change(change); err != nil {
		return store.File{}, false, err
	}
	return m.shown(v, v.files[store.Fold(p.Ref.File)]), true, nil
}

func (s *metadataStore) PublishDraft(ctx context.Context, ref store.VersionRef, expected map[string]store.Digest, act store.Act) ([]store.Difference, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	v := m.versions[ref.Key()]
	if v == nil {
		return nil, store.ErrPackageNotFound
	}
	if expected != nil {
		see, differences := store.Compare(expected)
		for _, file := range v.files {
			see(file.File, file.Digest)
		}
		if found := differences(); len(found) > 0 {
			return found, store.ErrDifferent
		}
	}
	if !v.draft {
		return nil, nil
	}
	change := store.PublishDraftChange(ref, m.lastID+1, act)
	change.VersionID = v.id
	return nil, m.change(change)
}

func (s *metadataStore) DeleteDraft(ctx context.Context, ref store.VersionRef, before time.Time, act store.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if v := m.versions[ref.Key()]; v == nil || !v.draft || !v.created.Before(before) {
		return store.ErrPackageNotFound
	}
	return m.change(store.DeleteVersionChange(ref, act))
}

func (s *metadataStore) AddDownloads(ctx context.Context, all []store.Download) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, d := range all {
		v := m.versions[d.Ref.VersionRef.Key()]
		if v == nil || v.draft {
			continue
		}
		file, found := v.files[store.Fold(d.Ref.File)]
		if !found || file.ID != d.ID {
			continue
		}
		count := func(total *int64, last *time.Time) {
			*total += d.Count
			if d.Last.After(*last) {
				*last = d.Last.UTC()
			}
		}
		count(&file.Downloads, &file.Downloaded)
		count(&v.downloads, &v.downloaded)
		v.files[store.Fold(d.Ref.File)] = file
	}
	return nil
}

func (s *metadataStore) SetHashes(ctx context.Context, digest store.Digest, hashes store.Hashes) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if b := m.blobs[digest]; b != nil {
		b.hashes = hashes
	}
	return nil
}

func (s *metadataStore) DeleteFile(ctx context.Context, ref store.Ref, act store.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	v := m.versions[ref.VersionRef.Key()]
	if v == nil || !act.Only.Has(v.draft) {
		return store.ErrPackageNotFound
	}
	file, found := v.files[store.Fold(ref.File)]
	switch {
	case !found:
		return store.ErrFileNotFound
	case act.Current != 0 && act.Current != file.ID:
		return store.ErrChanged
	}
	return m.change(store.DeleteFileChange(ref, act))
}

func (s *metadataStore) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if v := m.versions[ref.Key()]; v == nil || !act.Only.Has(v.draft) {
		return store.ErrPackageNotFound
	}
	return m.change(store.DeleteVersionChange(ref, act))
}

func (s *metadataStore) DeletePackage(ctx context.Context, owner, pkg string, act store.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(m.versionsOf(owner, pkg)) == 0 {
		return store.ErrPackageNotFound
	}
	return m.change(store.DeletePackageChange(owner, pkg, act))
}

// versionsOf returns the keys of a package's versions.
func (m *state) versionsOf(owner, pkg string) (keys []store.VersionRef) {
	for key := range m.versions {
		if key.Owner == store.Fold(owner) && key.Package == store.Fold(pkg) {
			keys = append(keys, key)
		}
	}
	return keys
}

// change makes a change, journalled first.
func (m *Metadata) change(change store.Change) error {
	change, err := m.memoryJournal.append(change)
	if err != nil {
		return err
	}
	m.announce()
	return m.state.apply(change)
}

var errImpossible = errors.New("a change that cannot be")

// apply makes a change that the journal has.
func (m *state) apply(change store.Change) error {
	ref := store.Ref{
		VersionRef: store.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version},
		File:       change.File,
	}
	switch change.Operation {
	case store.OperationPublish:
		return m.applyPublish(ref, change)
	case store.OperationRenew:
		b, renewed := m.blobs[m.versions[ref.VersionRef.Key()].files[store.Fold(ref.File)].Digest], change.Locator
		if b.locator != renewed {
			m.condemned[b.locator] = true
			b.damage = ""
		}
		b.locator = renewed
	case store.OperationPublishDraft:
		v := m.versions[ref.VersionRef.Key()]
		v.draft, v.created, v.released = false, change.Time.UTC(), change.Released
	case store.OperationDeleteFile:
		v := m.versions[ref.VersionRef.Key()]
		if v == nil {
			return fmt.Errorf("%w: %w", errImpossible, store.ErrPackageNotFound)
		}
		m.release(v.files[store.Fold(ref.File)].Digest)
		if delete(v.files, store.Fold(ref.File)); len(v.files) == 0 {
			delete(m.versions, ref.VersionRef.Key())
		}
	case store.OperationDeleteVersion:
		m.graves = append(m.graves, m.versions[ref.VersionRef.Key()])
		delete(m.versions, ref.VersionRef.Key())
	case store.OperationDeletePackage:
		for _, key := range m.versionsOf(change.Owner, change.Package) {
			m.graves = append(m.graves, m.versions[key])
			delete(m.versions, key)
		}
	case store.OperationCreateToken:
		made, secret, err := grant.ParseChange(change.Token)
		if err != nil {
			return err
		}
		m.tokens[made.ID] = &token{made, secret}
	case store.OperationRevokeToken:
		delete(m.tokens, change.Token.ID)
	default:
		return fmt.Errorf("%w: operation %q", errImpossible, change.Operation)
	}
	return nil
}

func (m *state) applyPublish(ref store.Ref, change store.Change) error {
	digest, err := store.ParseDigest(change.Digest)
	if err != nil {
		return err
	}
	m.lastID = max(m.lastID, change.ID, change.VersionID)
	v := m.versions[ref.VersionRef.Key()]
	if change.Replaced {
		m.release(v.files[store.Fold(ref.File)].Digest)
	}
	if v == nil {
		v = &version{
			draft: change.Draft, released: change.Released,
			ref: m.spelled(ref.VersionRef), id: change.VersionID, rank: change.Rank,
			creator: change.User, created: change.Time.UTC(),
			files: make(map[string]store.File),
		}
		m.versions[ref.VersionRef.Key()] = v
	}
	b := m.blobs[digest]
	if b == nil {
		b = &blob{locator: change.Locator}
		m.blobs[digest] = b
	}
	if b.locator != change.Locator {
		m.condemned[b.locator] = true
		b.damage = ""
	}
	b.locator, b.size = change.Locator, change.Size
	b.references++
	v.files[store.Fold(ref.File)] = store.File{
		Ref:     store.Ref{VersionRef: v.ref, File: ref.File},
		Blob:    store.Blob{Locator: b.locator, Digest: digest, Size: b.size},
		ID:      change.ID,
		Creator: change.User,
		Created: change.Time,
	}
	return nil
}

// spelled returns a version's ref as it is shown: an owner and a package that are there
// keep their spelling.
func (m *state) spelled(ref store.VersionRef) store.VersionRef {
	key := ref.Key()
	for known, v := range m.versions {
		if known.Owner != key.Owner {
			continue
		}
		ref.Owner = v.ref.Owner
		if known.Package == key.Package {
			ref.Package = v.ref.Package
			break
		}
	}
	return ref
}

// release takes one reference off a blob.
func (m *state) release(digest store.Digest) {
	b := m.blobs[digest]
	if b.references--; b.references == 0 {
		m.condemned[b.locator] = true
		delete(m.blobs, digest)
	}
}
