package integrity

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

const (
	// readCost is what reading a blob counts as at least, in bytes: a disk has to seek for it.
	readCost = 64 << 10
)

// examine reads a blob and deals with its damage, which it returns; nil when it has
// none. Read, which may be nil, is called with the number of bytes that were read. The error says why
// the blob could not be judged.
func (k *Keeper) examine(ctx context.Context, blob store.Blob, pace *pacer, read func(bytes int)) (*Damage, error) {
	damage, err := k.inspect(ctx, blob, pace, read)
	if err != nil {
		return nil, err
	}
	k.scrub.readBlobs.Add(1)
	if damage == nil {
		k.noteGood(ctx, blob)
		return nil, nil
	}
	if is, err := k.Report(ctx, *damage); err != nil || !is {
		return nil, err
	}
	return damage, nil
}

// inspect reads a blob and returns what is wrong with it, or nil.
func (k *Keeper) inspect(ctx context.Context, blob store.Blob, pace *pacer, read func(bytes int)) (*Damage, error) {
	attend := func() func() { return waiting.Attend(k.log, "reading a blob") }
	end := attend()
	content, err := k.blobs.Open(ctx, blob.Locator, blob.Size)
	end()
	if err != nil {
		damage, err := k.Judge(ctx, blob, err)
		return &damage, err
	}
	defer content.Close()
	if short := readCost - blob.Size; short > 0 {
		if err := pace.spend(ctx, int(short)); err != nil {
			return nil, err
		}
	}
	end = attend()
	digest, err := transfer.Hash(content, blob.Size, func(piece []byte) error {
		end() // what waits from here on is the pace
		defer func() { end = attend() }()
		k.scrub.readBytes.Add(int64(len(piece)))
		if read != nil {
			read(len(piece))
		}
		return pace.spend(ctx, len(piece))
	})
	end()
	if err != nil {
		damage, err := k.Judge(ctx, blob, err)
		return &damage, err
	}
	if digest != blob.Digest {
		damage := WrongDigest(blob, digest)
		return &damage, nil
	}
	return nil, nil
}

// Judge tells what damage an error of the blob store speaks of. Errors that speak
// of something else, such as a store that is closed, come back.
func (k *Keeper) Judge(ctx context.Context, blob store.Blob, err error) (Damage, error) {
	switch {
	case ctx.Err() != nil:
		return Damage{}, ctx.Err()
	case errors.Is(err, store.ErrUnavailable), isShortage(err):
		return Damage{}, err
	case errors.Is(err, store.ErrBlobNotFound):
		return Damage{Kind: store.DamageMissing, Blob: blob}, nil
	case errors.Is(err, store.ErrDamaged), errors.Is(err, transfer.ErrShort):
		if size, err := k.blobs.Stat(ctx, blob.Locator); err == nil && size != blob.Size {
			return wrongSize(blob, size), nil
		}
		if errors.Is(err, store.ErrDamaged) {
			return Damage{Kind: store.DamageDigest, Blob: blob, Found: "bytes without the checksum that the store has of them"}, nil
		}
	}
	return Damage{Kind: store.DamageUnreadable, Blob: blob, Found: err.Error()}, nil
}

// isShortage tells whether the process, and not the blob, is to blame.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

func wrongSize(blob store.Blob, size int64) Damage {
	return Damage{Kind: store.DamageSize, Blob: blob, Found: fmt.Sprintf("%d bytes", size)}
}

func WrongDigest(blob store.Blob, digest store.Digest) Damage {
	return Damage{Kind: store.DamageDigest, Blob: blob, Found: "SHA-256 " + digest.String()}
}
