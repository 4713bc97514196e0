package moving

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/told"
)

// Sums are of all that a metadata store tells, in whatever order.
type Sums struct {
	Versions, Files, Tokens int64
	// Bytes of all files.
	Bytes int64
	// Digest of everything that is told: names, digests, IDs, times, users, downloads, tokens.
	Digest store.Digest
}

// compare returns the sums of two stores. ErrDamaged when they differ.
func compare(ctx context.Context, source, target store.MetadataStore) (Sums, error) {
	want, err := sumsOf(ctx, source)
	if err != nil {
		return want, fmt.Errorf("comparing: reading the source: %w", err)
	}
	got, err := sumsOf(ctx, target)
	if err != nil {
		return got, fmt.Errorf("comparing: reading the target: %w", err)
	}
	if got != want {
		return got, fmt.Errorf("%w: the target has %d versions, %d files with %d bytes and %d tokens of the digest %s, the source %d, %d, %d and %d of %s: empty the target, and copy again",
			store.ErrDamaged, got.Versions, got.Files, got.Bytes, got.Tokens, got.Digest, want.Versions, want.Files, want.Bytes, want.Tokens, want.Digest)
	}
	return got, nil
}

func sumsOf(ctx context.Context, metadata store.MetadataStore) (sums Sums, err error) {
	exporter, ok := metadata.(told.Exporter)
	if !ok {
		return sums, store.ErrNoJournal
	}
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := exporter.Export(ctx, writer)
		_ = writer.CloseWithError(err)
		ended <- err
	}()
	err = sums.read(bufio.NewReaderSize(reader, 1<<16))
	_ = reader.CloseWithError(err)
	if exportErr := <-ended; err == nil {
		err = exportErr
	}
	return sums, err
}

// read adds lines.
func (s *Sums) read(lines *bufio.Reader) error {
	var at store.Position
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if at, err = jsonl.ReadLines(line, at, s.add); err != nil {
			return err
		}
	}
}

// add adds what one line tells, without what is of the store that tells it.
func (s *Sums) add(change store.Change) error {
	switch change.Operation {
	case store.OperationVersion:
		s.Versions++
	case store.OperationPublish:
		s.Files++
		s.Bytes += change.Size
	case store.OperationCreateToken:
		s.Tokens++
	default:
		return nil
	}
	change.Sequence, change.Synced, change.PackageID = 0, 0, 0
	line, _, err := jsonl.AppendLine(nil, store.Digest{}, change)
	if err != nil {
		return err
	}
	s.Digest = plus(s.Digest, sha256.Sum256(bytes.TrimSpace(line)))
	return nil
}

// plus adds two digests as numbers, so that no order matters.
func plus(a, b store.Digest) (sum store.Digest) {
	carry := 0
	for i := len(a) - 1; i >= 0; i-- {
		carry += int(a[i]) + int(b[i])
		sum[i] = byte(carry)
		carry >>= 8
	}
	return sum
}
