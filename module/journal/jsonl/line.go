// Package jsonl writes and reads the lines of a journal: changes as JSON, each line chained
// to the one before, after a header that says whose they are.
package jsonl

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// A line of a journal is a Change as JSON, its last field the chain: the SHA-256 of
// the chain of the line before, as 64 characters, and of the line up to the comma
// before that field. So a line that was changed, left out, added or moved shows.
const (
	chainField = `,"chain":"`
	chainTail  = len(chainField) + 2*sha256.Size + len(LineEnd)
)

// LineEnd is how each line ends.
const LineEnd = "\"}\n"

// Format is the format of journals that this release writes and reads.
const Format = 2

// AppendLine appends the line of a change, with its newline, and returns the chain
// that it ends with. Times are written in UTC. It fails only for a time after the
// year 9999, and then appends nothing.
func AppendLine(to []byte, previous store.Digest, change store.Change) (line []byte, chain store.Digest, err error) {
	change.Time = change.Time.UTC()
	change.Token, change.Downloaded = tokenInUTC(change.Token), inUTC(change.Downloaded)
	buffer := bytes.NewBuffer(to)
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&change); err != nil {
		return to, previous, fmt.Errorf("encoding change %d: %w", change.Sequence, err)
	}
	line = buffer.Bytes()
	line = line[:len(line)-len("}\n")]
	chain = chainOf(previous, line[len(to):])
	line = append(line, chainField...)
	line = hex.AppendEncode(line, chain[:])
	return append(line, LineEnd...), chain, nil
}

func chainOf(previous store.Digest, body []byte) (chain store.Digest) {
	var before [2 * sha256.Size]byte
	hex.Encode(before[:], previous[:])
	hash := sha256.New()
	hash.Write(before[:])
	hash.Write(body)
	hash.Sum(chain[:0])
	return chain
}

// Follow returns the position after a line that AppendLine wrote, with its newline, whose
// chain proves it: the change is not read. ErrDamaged when it is not what was written after
// the line of a position, which is returned then.
func Follow(line []byte, after store.Position) (store.Position, error) {
	_, chain, err := follow(line, after.Chain)
	if err != nil {
		return after, fmt.Errorf("change %d: %w", after.Sequence+1, err)
	}
	return store.Position{Sequence: after.Sequence + 1, Chain: chain}, nil
}

// follow returns what a line's chain covers, and the chain.
func follow(line []byte, previous store.Digest) (body []byte, chain store.Digest, err error) {
	body, chain, err = splitLine(line)
	if err == nil && chain != chainOf(previous, body) {
		err = fmt.Errorf("%w: the line does not follow the one before, or was changed", store.ErrDamaged)
	}
	return body, chain, err
}

// ParseLine reads a line that AppendLine wrote, with its newline, and returns its
// change and chain. ErrDamaged when it is not what was written after the line of
// the previous chain; ErrFormat when it is, by a release that knows more than this.
func ParseLine(line []byte, previous store.Digest) (store.Change, store.Digest, error) {
	body, chain, err := follow(line, previous)
	if err != nil {
		return store.Change{}, store.Digest{}, err
	}
	change, err := parseChange(body)
	if err != nil {
		return store.Change{}, store.Digest{}, fmt.Errorf("%w: a line of the journal that this release cannot read: %w", store.ErrFormat, err)
	}
	return change, chain, nil
}

// LineChain reads a line as ParseLine does, without holding its chain against
// anything: for a look past a line that is damaged. ErrDamaged.
func LineChain(line []byte) (store.Change, store.Digest, error) {
	body, chain, err := splitLine(line)
	if err != nil {
		return store.Change{}, store.Digest{}, err
	}
	change, err := parseChange(body)
	if err != nil {
		return store.Change{}, store.Digest{}, fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return change, chain, nil
}

// splitLine returns what a line's chain covers, and the chain.
func splitLine(line []byte) (body []byte, chain store.Digest, err error) {
	cut := len(line) - chainTail
	if cut < 1 || !bytes.HasSuffix(line, []byte(LineEnd)) || !bytes.HasPrefix(line[cut:], []byte(chainField)) {
		return nil, chain, fmt.Errorf("%w: a line of %d bytes without a chain at its end", store.ErrDamaged, len(line))
	}
	chain, err = store.ParseDigest(string(line[cut+len(chainField) : len(line)-len(LineEnd)]))
	if err != nil {
		return nil, chain, fmt.Errorf("%w: chain of a line: %w", store.ErrDamaged, err)
	}
	return line[:cut], chain, nil
}

// parseChange reads an object that lacks its closing brace.
func parseChange(body []byte) (change store.Change, err error) {
	err = DecodeStrictly(io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte{'}'})), &change)
	return change, err
}

// DecodeStrictly reads one JSON value that has no field which is not known, and
// nothing after it.
func DecodeStrictly(text io.Reader, value any) error {
	decoder := json.NewDecoder(text)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// Header is the first line of each segment of a journal.
type Header struct {
	// Journal is the format of the lines that follow.
	Journal int `json:"journal"`
	// Store is the ID of the store that the journal is of.
	Store string `json:"store"`
	// First is the number of the change in the line that follows.
	First uint64 `json:"first"`
	// Chain of the change before that one; zeros before the first of all.
	Chain string `json:"chain"`
}

// NewHeader returns the header of what follows a position.
func NewHeader(id string, after store.Position) Header {
	return Header{Journal: Format, Store: id, First: after.Sequence + 1, Chain: after.Chain.String()}
}

// After is the position that the segment begins after. The header must be one that
// ParseHeader or NewHeader returned.
func (h Header) After() store.Position {
	chain, _ := store.ParseDigest(h.Chain) // ParseHeader has
	return store.Position{Sequence: h.First - 1, Chain: chain}
}

// AppendHeader appends the header as a line with its newline.
func AppendHeader(to []byte, header Header) []byte {
	text, _ := json.Marshal(header) // numbers and strings always can be
	return append(append(to, text...), '\n')
}

// ParseHeader reads a line that AppendHeader wrote. ErrDamaged when it is none,
// ErrFormat when it is one of another release.
func ParseHeader(line []byte) (header Header, err error) {
	var format struct {
		Journal int `json:"journal"`
	}
	if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &format) != nil || format.Journal < 1 {
		return Header{}, fmt.Errorf("%w: a journal that does not begin with a header", store.ErrDamaged)
	}
	if format.Journal != Format {
		return Header{}, fmt.Errorf("%w: the journal has format %d, this release reads %d only; use the release that wrote it", store.ErrFormat, format.Journal, Format)
	}
	if err := DecodeStrictly(bytes.NewReader(line), &header); err != nil {
		return Header{}, fmt.Errorf("%w: header of a journal: %w", store.ErrDamaged, err)
	}
	if _, err := store.ParseDigest(header.Chain); err != nil || header.Store == "" || header.First == 0 {
		return Header{}, fmt.Errorf("%w: header of a journal without store, number or chain", store.ErrDamaged)
	}
	return header, nil
}

// tokenInUTC returns a copy of what a change says of a token, with its times in UTC.
func tokenInUTC(t *store.TokenChange) *store.TokenChange {
	if t == nil {
		return nil
	}
	told := *t
	told.Created, told.Expires = inUTC(t.Created), inUTC(t.Expires)
	return &told
}

// inUTC returns a time in UTC, nil for nil.
func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	told := at.UTC()
	return &told
}
