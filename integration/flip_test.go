package integration

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// blockSize is what a file is looked at by, to tell its used parts from its holes.
const blockSize = 4096

// copyStore copies a registry's root of a server that does not run. Files with holes stay
// that way.
func copyStore(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		place := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(place, 0o700)
		}
		return copyFile(path, place)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for _, at := range usedBlocks(content) {
		if _, err := file.WriteAt(content[at:min(at+blockSize, len(content))], int64(at)); err != nil {
			return err
		}
	}
	return file.Truncate(int64(len(content)))
}

// usedBlocks returns where there are blocks with anything but zeros.
func usedBlocks(content []byte) (offsets []int) {
	zeros := make([]byte, blockSize)
	for at := 0; at < len(content); at += blockSize {
		if block := content[at:min(at+blockSize, len(content))]; !bytes.Equal(block, zeros[:len(block)]) {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// flipBit changes one bit of the used part of a file, which gets new bytes, so that
// copies that share them keep the old. It returns where.
func flipBit(t testing.TB, name string, random *rand.Rand) (offset int) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	blocks := usedBlocks(content)
	if len(blocks) == 0 {
		blocks = []int{0}
	}
	at := blocks[random.IntN(len(blocks))]
	offset = at + random.IntN(min(blockSize, len(content)-at))
	content[offset] ^= 1 << random.IntN(8)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, string(content))
	return offset
}
