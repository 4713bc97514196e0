package files

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"io"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

const (
	// maxSums is how many bytes a list of checksums may have.
	maxSums = 16 << 20
	// maxLists is how many bytes all lists that are in memory may have together: a client
	// that sends its list slowly holds what came.
	maxLists = 4 * maxSums
)

// listed is how many bytes came of the lists that are in memory, of all registries.
var listed atomic.Int64

// list is a body that counts from its first byte until it is forgotten. Reading fails with
// ErrTooLarge when it has too many bytes, and with ErrBusy when all lists have. It is forgotten
// at once then, so that the others have room.
type list struct {
	body io.Reader
	came int64
}

func (l *list) Read(p []byte) (int, error) {
	n, err := l.body.Read(p)
	l.came += int64(n)
	all := listed.Add(int64(n))
	switch {
	case l.came > maxSums:
		n, err = 0, store.ErrTooLarge
	case all > maxLists:
		l.forget()
		n, err = 0, store.ErrBusy
	}
	return n, err
}

func (l *list) forget() {
	listed.Add(-l.came)
	l.came = 0
}

// parseSums reads a list of checksums as sha256sum writes it: on each line a SHA-256, a
// space, a space or a star, and a name. Nil when there is none. What the body fails with comes
// before what is wrong in it: its last line is cut then.
func parseSums(body io.Reader) (expected map[string]store.Digest, err error) {
	lines := bufio.NewScanner(body)
	spelled := make(map[string]string) // by names as the registry compares them, where these differ
	for number := 1; lines.Scan() && lines.Err() == nil; number++ {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		digest, name, err := parseSum(line)
		if err != nil {
			return nil, visit.Tell(err, "%v: line %d", err, number)
		}
		folded := store.Fold(name)
		known, twice := expected[cmp.Or(spelled[folded], folded)]
		if twice && known != digest {
			return nil, visit.Tell(errSums, "%v: line %d has another checksum for a file of an earlier line", errSums, number)
		}
		if expected == nil {
			expected = make(map[string]store.Digest)
		}
		if twice {
			continue
		}
		expected[name] = digest
		if folded != name {
			spelled[folded] = name
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, errSums
	}
	if err := lines.Err(); err != nil {
		return nil, &store.BodyError{Err: err}
	}
	return expected, nil
}

func parseSum(line []byte) (digest store.Digest, name string, err error) {
	const sum = 2 * len(digest)
	if len(line) <= sum+2 || line[sum] != ' ' || line[sum+1] != ' ' && line[sum+1] != '*' {
		return digest, "", errSums
	}
	if _, err := hex.Decode(digest[:], line[:sum]); err != nil {
		return digest, "", errSums
	}
	return digest, string(line[sum+2:]), nil
}
