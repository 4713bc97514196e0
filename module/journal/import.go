package journal

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// importChunk is how much of an import is made durable at a time.
const importChunk = 1 << 20

// Import appends lines that were read of a journal, as they are. They may begin with a
// checkpoint if the journal is empty. Each must follow the one before it, the first of
// all the journal's last. ErrDamaged when one does not; those before it stay.
func (j *Journal) Import(ctx context.Context, lines io.Reader) error {
	reader := newReader(lines)
	if j.Position().Sequence == 0 {
		if err := j.importCheckpoint(ctx, reader); err != nil {
			return fmt.Errorf("importing checkpoint: %w", err)
		}
	}
	s := &source{reader: reader, position: j.Position()}
	var chunk []byte
	for {
		line, _, err := s.next()
		if err != nil && err != io.EOF {
			return fmt.Errorf("importing journal: %w", err)
		}
		chunk = append(chunk, line...)
		if len(chunk) > 0 && (err == io.EOF || len(chunk) >= importChunk) {
			if err := j.write(chunk, nil, s.position); err != nil {
				return fmt.Errorf("importing journal: %w", err)
			}
			chunk = chunk[:0]
		}
		if err == io.EOF {
			return nil
		}
	}
}

// firstLine is more than a checkpoint's first line has.
const firstLine = 4 << 10

// importCheckpoint writes the checkpoint that lines begin with, if they do.
func (j *Journal) importCheckpoint(ctx context.Context, lines *bufio.Reader) error {
	begin, _ := lines.Peek(firstLine) // what fails, fails again
	end := bytes.IndexByte(begin, '\n') + 1
	first, _, err := jsonl.LineChain(begin[:end])
	if err != nil || first.Operation != store.OperationCheckpoint || first.Checkpoint == nil {
		return nil // the first of all changes, or damage that is found where it is read
	}
	s := &source{reader: lines}
	var told store.CheckpointHead
	_, err = j.WriteCheckpoint(*first.Checkpoint, func(tell func(store.Change) error) (err error) {
		told, err = s.checkpointWithin(ctx, func(_ []byte, change store.Change) error {
			if change.Operation == store.OperationCheckpoint || change.Operation == store.OperationEnd {
				return nil
			}
			return tell(change)
		})
		return err
	})
	if err == nil && told != *first.Checkpoint {
		err = store.ErrDamaged
	}
	if err != nil {
		return err
	}
	return j.StartAfter(told.At)
}
