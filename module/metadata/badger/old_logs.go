package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/y"
)

// removeOldLogs removes logs of memtables that are in tables already, as far as the last
// transaction that those have says. Badger removes a log when its memtable is a table,
// and goes on when it cannot; but when it finds the log later, it takes it for new. What
// was deleted since is then there again, because compactions drop deletions.
func removeOldLogs(path string, newest uint64, log *slog.Logger) error {
	logs, err := databaseFiles(path, memtableLogs)
	if err != nil {
		return err
	}
	for _, name := range logs {
		first, found, err := firstTransaction(name)
		if err != nil {
			return fmt.Errorf("reading log: %w", err)
		}
		if !found || first > newest {
			continue
		}
		log.Warn("removing the log of a memtable that is in a table already", slog.String("name", filepath.Base(name)))
		if err := firstError(func() error { return syncManifest(path) }, func() error { return os.Remove(name) }); err != nil {
			return fmt.Errorf("removing an old log: %w", err)
		}
	}
	return nil
}

// firstTransaction reads the number of the transaction that the log of a memtable begins
// with. A log without an entry has none.
func firstTransaction(name string) (number uint64, found bool, err error) {
	const fileHeader, version = 20, 8
	head, err := readHead(name, fileHeader+4<<10) // longer than any key
	if err != nil || len(head) < fileHeader {
		return 0, false, err
	}
	entry := bytes.NewBuffer(head[fileHeader:])
	entry.Next(2) // kinds of entry
	length, err := binary.ReadUvarint(entry)
	for range 2 { // the length of the value, and when it expires
		if err == nil {
			_, err = binary.ReadUvarint(entry)
		}
	}
	if err != nil || length <= version || length > uint64(entry.Len()) {
		return 0, false, nil
	}
	return y.ParseTs(entry.Next(int(length))), true, nil
}

// syncManifest makes sure that it names on disk the tables that it names when read.
func syncManifest(path string) error {
	file, err := os.OpenFile(filepath.Join(path, badger.ManifestFilename), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening manifest: %w", err)
	}
	return errors.Join(file.Sync(), file.Close())
}
