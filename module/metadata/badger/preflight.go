package badger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

const (
	tableFiles   = "*.sst"
	memtableLogs = "*.mem" // of memtables that were not written as tables yet
	valueLogs    = "*.vlog"
)

// allFiles are the patterns of the files of a Badger database.
var allFiles = []string{badger.ManifestFilename, tableFiles, memtableLogs, valueLogs, badger.KeyRegistryFileName, discardFile}

// checkFiles looks at the files before Badger does: what it would find damaged, it
// would pass over, delete, or panic about in a goroutine of its own. It returns
// errDatabase for those.
func checkFiles(path string, options badger.Options, log *slog.Logger) error {
	if err := removeEmptyFiles(path, log); err != nil {
		return err
	}
	newest, err := checkTables(path, options)
	if err != nil {
		return err
	}
	if err := checkLogs(path); err != nil {
		return err
	}
	if err := checkKeys(path, log); err != nil {
		return err
	}
	return removeOldLogs(path, newest, log)
}

// checkManifest reads the list of tables. Without it Badger would take the database
// for an empty one and delete the tables; one that is cut, it takes as it is.
func checkManifest(path string, options badger.Options) (map[uint64]badger.TableManifest, error) {
	file, err := os.Open(filepath.Join(path, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, checkNoTables(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening manifest: %w", err)
	}
	defer file.Close()
	manifest, end, err := badger.ReplayManifestFile(file, options.ExternalMagicVersion, options)
	if err != nil {
		if _, reading := os.ReadFile(file.Name()); reading != nil {
			return nil, fmt.Errorf("reading manifest: %w", reading)
		}
		return nil, fmt.Errorf("%w: reading manifest: %w", errDatabase, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("asking for manifest: %w", err)
	}
	if end != info.Size() {
		return nil, fmt.Errorf("%w: the manifest is cut", errDatabase)
	}
	return manifest.Tables, nil
}

func checkNoTables(path string) error {
	found, err := databaseFiles(path, tableFiles, memtableLogs, valueLogs, badger.KeyRegistryFileName)
	if err != nil || len(found) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s has tables but no %s", errDatabase, path, badger.ManifestFilename)
}

// databaseFiles returns the names of Badger's files that match patterns, in the order of those.
func databaseFiles(path string, patterns ...string) (names []string, err error) {
	for _, pattern := range patterns {
		found, err := disk.Matching(path, pattern)
		if err != nil {
			return nil, fmt.Errorf("looking for the database: %w", err)
		}
		names = append(names, found...)
	}
	return names, nil
}

// checkLogs looks at the beginning of memtables and value logs, which names the key
// that they are encrypted with: here always none. Of the rest Badger takes what has its
// checksum, and what it does not take the journal has.
func checkLogs(path string) error {
	const keyBytes = 8
	names, err := databaseFiles(path, memtableLogs, valueLogs)
	if err != nil {
		return err
	}
	for _, name := range names {
		head, err := readHead(name, keyBytes)
		if err != nil {
			return fmt.Errorf("reading log: %w", err)
		}
		if len(head) == keyBytes && !bytes.Equal(head, make([]byte, keyBytes)) {
			return fmt.Errorf("%w: log %s: it names a key, and there are none", errDatabase, filepath.Base(name))
		}
	}
	return nil
}

// keysText is what Badger's file of keys says after 16 bytes, when it can be read. There
// are no keys in it.
const keysText = "Hello Badger"

// checkKeys removes a file of keys that Badger would not take: it makes another.
func checkKeys(path string, log *slog.Logger) error {
	name := filepath.Join(path, badger.KeyRegistryFileName)
	head, err := readHead(name, 16+len(keysText))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading file of keys: %w", err)
	}
	if bytes.HasSuffix(head, []byte(keysText)) && len(head) == 16+len(keysText) {
		return nil
	}
	log.Warn("removing a file of keys that is damaged; there were none in it", slog.String("name", name))
	return os.Remove(name)
}

// readHead returns the first bytes of a file, or all that it has.
func readHead(name string, bytes int) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, bytes)
	n, err := io.ReadFull(file, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// removeEmptyFiles removes memtables and value logs without a byte: a crash
// between making one and sizing it leaves them, and Badger refuses to open.
func removeEmptyFiles(path string, log *slog.Logger) error {
	found, err := databaseFiles(path, memtableLogs, valueLogs)
	if err != nil {
		return err
	}
	for _, name := range found {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("looking for empty files: %w", err)
		}
		if info.Size() > 0 {
			continue
		}
		log.Debug("removing an empty file", slog.String("name", filepath.Base(name)))
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("removing an empty file: %w", err)
		}
	}
	return nil
}
