package store

import (
	"fmt"
	"time"
)

// PublishChange is what a journal says of a file that was published as ref.
func PublishChange(ref Ref, file File) Change {
	return Change{
		Time: file.Created, Operation: OperationPublish, User: file.Creator,
		Owner: ref.Owner, Package: ref.Package, Version: ref.Version, File: ref.File,
		Digest: file.Digest.String(), Size: file.Size, Locator: file.Locator, ID: file.ID,
	}
}

// PublishDraftChange is what a journal says of a draft that is published. The IDs of its
// files are below released.
func PublishDraftChange(ref VersionRef, released int64, act Act) Change {
	change := DeleteVersionChange(ref, act)
	change.Operation, change.Released = OperationPublishDraft, released
	return change
}

// DeleteFileChange is what a journal says of a deleted file.
func DeleteFileChange(ref Ref, act Act) Change {
	change := DeleteVersionChange(ref.VersionRef, act)
	change.Operation, change.File = OperationDeleteFile, ref.File
	return change
}

// DeleteVersionChange is what a journal says of a deleted version.
func DeleteVersionChange(ref VersionRef, act Act) Change {
	return Change{
		Time: act.Time, Operation: OperationDeleteVersion, User: act.User,
		Owner: ref.Owner, Package: ref.Package, Version: ref.Version, Draft: act.Only == Drafted,
	}
}

// DeletePackageChange is what a journal says of a deleted package.
func DeletePackageChange(owner, pkg string, act Act) Change {
	return Change{Time: act.Time, Operation: OperationDeletePackage, User: act.User, Owner: owner, Package: pkg}
}

// TimeOrNil returns nil for the zero time.
func TimeOrNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// NamesBytes tells whether a change says where the bytes of a digest are from then on
// (Blob): a backup that has the change has the bytes.
func (c Change) NamesBytes() bool {
	return c.Operation == OperationPublish || c.Operation == OperationRenew
}

// Blob is what a change that names bytes says of them. ErrDamaged.
func (c Change) Blob() (Blob, error) {
	digest, err := ParseDigest(c.Digest)
	if err != nil {
		return Blob{}, fmt.Errorf("%w: change %d: %w", ErrDamaged, c.Sequence, err)
	}
	return Blob{Locator: c.Locator, Digest: digest, Size: c.Size}, nil
}

// Position is where a journal is after the line of a change.
func (c Change) Position(chain Digest) (Position, error) {
	switch {
	case c.Operation != OperationEnd:
		return Position{Sequence: c.Sequence, Chain: chain}, nil
	case c.Checkpoint == nil:
		return Position{}, fmt.Errorf("%w: a checkpoint that does not say what it stands for", ErrDamaged)
	}
	return c.Checkpoint.At, nil
}
