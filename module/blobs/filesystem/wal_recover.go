package filesystem

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// recover writes out what is in the log that a crash left, and removes the log. Every file
// is written again, whatever is in its place: what can be read there may not be durable. A
// file that was deleted in the meantime comes back without a name (Recovered).
func (s *Store) recover(log *slog.Logger) error {
	path := filepath.Join(s.path, walDirectory)
	segments, err := s.openLog(path)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	var written []store.Locator
	for _, segment := range segments {
		locators, err := s.writeOut(filepath.Join(path, segment.Name()), func(string) (bool, error) { return true, nil })
		if err != nil {
			return err
		}
		written = append(written, locators...)
	}
	if len(written) > 0 {
		log.Info("small files that were in the log are written out", slog.Int("files", len(written)))
	}
	if err := s.settle(written); err != nil {
		return fmt.Errorf("writing out the log: %w", err)
	}
	for _, segment := range segments {
		if err := removeSegment(s.fsys, filepath.Join(path, segment.Name())); err != nil {
			return err
		}
	}
	s.recovered = written
	return nil
}

// Recovered implements store.Recoverer.
func (s *Store) Recovered() []store.Locator { return s.recovered }

// checkLog stands for recover where the file system takes no writes. Files can be read when
// each one of the log has the log's content. ErrUnavailable when one has another. One that
// is not there was deleted, or a power cut took its name: only recover can put it back, and
// until then it is missing to who reads it.
func (s *Store) checkLog() error {
	path := filepath.Join(s.path, walDirectory)
	segments, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("opening the log: %w", err)
	}
	for _, segment := range segments {
		err := readSegment(filepath.Join(path, segment.Name()), func(e entry) error {
			place, err := s.place(e.locator)
			if err != nil {
				return err
			}
			content, err := os.ReadFile(place)
			if err == nil && !bytes.Equal(content, e.content) {
				err = fmt.Errorf("%w: the file system is read-only, and small files have to be written out of the log first; make it writable", store.ErrUnavailable)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
	}
	return nil
}

// openLog makes the log's directory if there is none, and returns what is in it. An empty
// directory is removed and made again: an earlier sync of its name may have failed.
func (s *Store) openLog(path string) ([]fs.DirEntry, error) {
	segments, err := os.ReadDir(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if len(segments) > 0 || err != nil && !missing {
		return segments, err
	}
	if !missing {
		if err := s.fsys.Remove(path); err != nil {
			return nil, directory.Full(err)
		}
	}
	return nil, directory.Full(s.fsys.MakeDirectory(path))
}

// rewrite makes the files of a segment durable that are still in their places, after
// writing them anew. One that is deleted at this moment comes back, for the sweep.
func (s *Store) rewrite(segment string) error {
	if gone, err := isVacant(segment); gone || err != nil {
		return err // removed, and said not to be
	}
	written, err := s.writeOut(segment, func(place string) (bool, error) {
		vacant, err := isVacant(place)
		return !vacant, err
	})
	if err != nil {
		return err
	}
	return s.settle(written)
}

// writeOut writes the files of a segment anew whose places are wanted. They are not
// durable yet.
func (s *Store) writeOut(segment string, wanted func(place string) (bool, error)) (written []store.Locator, err error) {
	err = readSegment(segment, func(e entry) error {
		place, err := s.place(e.locator)
		if err != nil {
			return err
		}
		if yes, err := wanted(place); err != nil || !yes {
			return err
		}
		written = append(written, e.locator)
		return s.replace(place, e.content)
	})
	if err != nil {
		return nil, fmt.Errorf("writing out the log: %w", directory.Full(err))
	}
	return written, nil
}

// replace gives a place a new file.
func (s *Store) replace(place string, content []byte) error {
	temporary := s.temporary(place)
	file, err := s.fsys.Create(temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = s.makeDirectory(filepath.Dir(place))
	}
	if err == nil {
		err = s.fsys.Rename(temporary, place)
	}
	if err != nil {
		return errors.Join(err, s.fsys.Remove(temporary)) // its name is needed for the next try
	}
	return nil
}

// readSegment calls take for each entry of a segment that is whole. It ends where no
// head is: what was appended last may be cut off. An entry whose content is damaged is
// left out; its file may be whole.
func readSegment(name string, take func(entry) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, writeStep)
	for {
		e, sum, err := readEntry(reader)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNoEntry) {
			return nil
		}
		if err != nil {
			return err
		}
		if crc32.Checksum(e.content, castagnoli) != sum {
			continue
		}
		if err := take(e); err != nil {
			return err
		}
	}
}

var errNoEntry = errors.New("no entry")

func readEntry(reader io.Reader) (e entry, sum uint32, err error) {
	var head [headSize + 255]byte
	if _, err := io.ReadFull(reader, head[:headSize]); err != nil {
		return e, 0, err
	}
	whole := head[:headSize+int(head[headSize-1])]
	if _, err := io.ReadFull(reader, whole[headSize:]); err != nil {
		return e, 0, err
	}
	length := binary.LittleEndian.Uint32(whole[8:])
	if len(whole) == headSize || length > smallBlob || crc32.Checksum(whole[4:], castagnoli) != binary.LittleEndian.Uint32(whole) {
		return e, 0, errNoEntry
	}
	e = entry{locator: store.Locator(whole[headSize:]), content: make([]byte, length)}
	_, err = io.ReadFull(reader, e.content)
	return e, binary.LittleEndian.Uint32(whole[4:]), err
}
