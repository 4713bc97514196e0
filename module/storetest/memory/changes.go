package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Every change is journalled, then made from what the journal has: so a replay
// makes the same.

func (s *metadataStore) Publish(ctx context.Context, p registry.Publication) (registry.File, bool, error) {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return registry.File{}, false, err
	}
	defer leave()
	if err := p.CheckAge(s.Clock()); err != nil {
		return registry.File{}, false, err
	}
	if err := m.refusal(m.versions[p.Ref.VersionRef.Key()], p); err != nil {
		m.condemned[p.Locator] = true
		return registry.File{}, true, err
	}
	_, replaces := m.blobs[p.Digest]
	file := registry.File{Blob: p.Blob, Creator: p.Creator, Created: p.Created}
	if err := m.change(registry.PublishChange(p.Ref, file)); err != nil {
		return registry.File{}, false, err
	}
	return m.versions[p.Ref.VersionRef.Key()].files[registry.Fold(p.Ref.File)], replaces, nil
}

func (s *metadataStore) DeleteFile(ctx context.Context, ref registry.Ref, act registry.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	v := m.versions[ref.VersionRef.Key()]
	if v == nil {
		return registry.ErrPackageNotFound
	}
	if _, found := v.files[registry.Fold(ref.File)]; !found {
		return registry.ErrFileNotFound
	}
	return m.change(registry.DeleteFileChange(ref, act))
}

func (s *metadataStore) DeleteVersion(ctx context.Context, ref registry.VersionRef, act registry.Act) error {
	m, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if m.versions[ref.Key()] == nil {
		return registry.ErrPackageNotFound
	}
	return m.change(registry.DeleteVersionChange(ref, act))
}

// change makes a change, journalled first.
func (m *Metadata) change(change registry.Change) error {
	change, err := m.journal.append(change)
	if err != nil {
		return err
	}
	return m.state.apply(change)
}

var errImpossible = errors.New("a change that cannot be")

// apply makes a change that the journal has.
func (m *state) apply(change registry.Change) error {
	ref := registry.Ref{
		VersionRef: registry.VersionRef{Owner: change.Owner, Package: change.Package, Version: change.Version},
		File:       change.File,
	}
	switch change.Operation {
	case registry.OperationPublish:
		return m.applyPublish(ref, change)
	case registry.OperationDeleteFile:
		v := m.versions[ref.VersionRef.Key()]
		if v == nil {
			return fmt.Errorf("%w: %w", errImpossible, registry.ErrPackageNotFound)
		}
		m.release(v.files[registry.Fold(ref.File)].Digest)
		if delete(v.files, registry.Fold(ref.File)); len(v.files) == 0 {
			delete(m.versions, ref.VersionRef.Key())
		}
	case registry.OperationDeleteVersion:
		m.graves = append(m.graves, m.versions[ref.VersionRef.Key()])
		delete(m.versions, ref.VersionRef.Key())
	case registry.OperationCreateToken:
		made, secret, err := change.Token.Parse()
		if err != nil {
			return err
		}
		m.tokens[made.ID] = &token{made, secret}
	case registry.OperationRevokeToken:
		delete(m.tokens, change.Token.ID)
	default:
		return fmt.Errorf("%w: operation %q", errImpossible, change.Operation)
	}
	return nil
}

func (m *state) applyPublish(ref registry.Ref, change registry.Change) error {
	digest, err := registry.ParseDigest(change.Digest)
	if err != nil {
		return err
	}
	v := m.versions[ref.VersionRef.Key()]
	if v == nil {
		v = &version{ref: ref.VersionRef, files: make(map[string]registry.File)}
		m.versions[ref.VersionRef.Key()] = v
	}
	b := m.blobs[digest]
	if b == nil {
		b = &blob{locator: change.Locator}
		m.blobs[digest] = b
	}
	if b.locator != change.Locator {
		m.condemned[b.locator] = true
	}
	b.locator, b.size = change.Locator, change.Size
	b.references++
	v.files[registry.Fold(ref.File)] = registry.File{
		Ref:     registry.Ref{VersionRef: v.ref, File: ref.File},
		Blob:    registry.Blob{Locator: b.locator, Digest: digest, Size: b.size},
		Creator: change.User,
		Created: change.Time,
	}
	return nil
}

// release takes one reference off a blob.
func (m *state) release(digest registry.Digest) {
	b := m.blobs[digest]
	if b.references--; b.references == 0 {
		m.condemned[b.locator] = true
		delete(m.blobs, digest)
	}
}
