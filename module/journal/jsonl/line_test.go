package jsonl

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func sampleChanges() []store.Change {
	created := time.Date(2026, 11, 23, 10, 0, 0, 5, time.FixedZone("CET", 3600))
	expires := created.AddDate(1, 0, 0)
	digest := store.Digest(sha256.Sum256([]byte("content"))).String()
	return []store.Change{
		{Sequence: 1, Time: created, Operation: store.OperationPublish, User: "alice", Owner: "Alice", Package: "p", Version: "1.0/<&>", File: "f \"ü\u2028.txt",
			Digest: digest, Size: 7, Locator: "00000000/abc"},
		{Sequence: 2, Synced: 1, Time: created, Operation: store.OperationDeleteFile, User: "bob", Owner: "Alice", Package: "p", Version: "1.0", File: "f"},
		{Sequence: 3, Synced: 1, Time: created, Operation: store.OperationDeleteVersion, Owner: "Alice", Package: "p", Version: "1.0"},
		{Sequence: 4, Synced: 3, Time: created, Operation: store.OperationCreateToken, Token: &store.TokenChange{ID: "id", Name: "ci", User: "carol", Actions: []string{"read", "write"},
			Owners: []string{"a*"}, Packages: []string{"*"}, Created: &created, Expires: &expires, Secret: digest}},
		{Sequence: 5, Synced: 4, Time: created, Operation: store.OperationRevokeToken, Token: &store.TokenChange{ID: "id"}},
		{Sequence: 6, Time: created, Operation: store.OperationPublish, File: "empty", Digest: digest},
	}
}

func mustAppend(t testing.TB, to []byte, previous store.Digest, change store.Change) ([]byte, store.Digest) {
	t.Helper()
	line, chain, err := AppendLine(to, previous, change)
	if err != nil {
		t.Fatal(err)
	}
	return line, chain
}

// sampleLines returns the lines of the sample, and the chain before each.
func sampleLines(t testing.TB) (lines [][]byte, before []store.Digest) {
	t.Helper()
	var chain store.Digest
	for _, change := range sampleChanges() {
		before = append(before, chain)
		var line []byte
		line, chain = mustAppend(t, nil, chain, change)
		lines = append(lines, line)
	}
	return lines, before
}

func TestLinesReadBackAsTheyWereWritten(t *testing.T) {
	lines, before := sampleLines(t)
	for i, want := range sampleChanges() {
		got, chain, err := ParseLine(lines[i], before[i])
		if err != nil {
			t.Fatalf("line %d: %v\n%s", i, err, lines[i])
		}
		want.Time, want.Token = want.Time.UTC(), tokenInUTC(want.Token)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("line %d reads as %+v, want %+v", i, got, want)
		}
		if i+1 < len(before) && chain != before[i+1] {
			t.Errorf("line %d: chain is %s, want %s", i, chain, before[i+1])
		}
		unverified, unverifiedChain, err := LineChain(lines[i])
		if err != nil || unverifiedChain != chain || !reflect.DeepEqual(unverified, got) {
			t.Errorf("line %d without its chain: %+v, %s, %v", i, unverified, unverifiedChain, err)
		}
	}
}

// TestLinesCanBeCheckedWithStandardTools holds the format: what an operator's
// script relies on.
func TestLinesCanBeCheckedWithStandardTools(t *testing.T) {
	lines, before := sampleLines(t)
	for i, line := range lines {
		text := strings.TrimSuffix(string(line), "\n")
		body, rest, found := strings.Cut(text, `,"chain":"`)
		sum := sha256.Sum256([]byte(before[i].String() + body))
		if !found || rest != hex.EncodeToString(sum[:])+`"}` || strings.Contains(text, "\n") {
			t.Errorf("line %d: %s", i, line)
		}
		var object map[string]any
		if err := json.Unmarshal(line, &object); err != nil || object["chain"] == "" || object["time"] != "2026-11-23T09:00:00.000000005Z" {
			t.Errorf("line %d as JSON: %v, %v", i, object, err)
		}
	}
	if want := `{"seq":1,"synced":0,"time":"2026-11-23T09:00:00.000000005Z","op":"publish","user":"alice","owner":"Alice","package":"p","version":"1.0/<&>",`; !bytes.HasPrefix(lines[0], []byte(want)) {
		t.Errorf("line is %s\nwant it to begin with %s", lines[0], want)
	}
}

func TestAppendLineKeepsWhatIsBefore(t *testing.T) {
	lines, before := sampleLines(t)
	whole := []byte("before")
	for i, change := range sampleChanges() {
		whole, _ = mustAppend(t, whole, before[i], change)
	}
	if want := "before" + string(bytes.Join(lines, nil)); string(whole) != want {
		t.Errorf("appended lines are %s\nwant %s", whole, want)
	}
	sample := sampleChanges()[3]
	zone := sample.Token.Created.Location()
	mustAppend(t, nil, store.Digest{}, sample)
	if sample.Token.Created.Location() != zone {
		t.Error("the caller's change was changed")
	}
	impossible := store.Change{Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if line, chain, err := AppendLine([]byte("before"), before[1], impossible); err == nil || string(line) != "before" || chain != before[1] {
		t.Errorf("a year of five digits: %q, %s, %v", line, chain, err)
	}
}

func TestEveryFlippedBitOfALineShows(t *testing.T) {
	lines, before := sampleLines(t)
	for i, line := range lines {
		for position := range line {
			for bit := range 8 {
				damaged := bytes.Clone(line)
				damaged[position] ^= 1 << bit
				if _, _, err := ParseLine(damaged, before[i]); !errors.Is(err, store.ErrDamaged) {
					t.Fatalf("line %d with bit %d of byte %d flipped: %v\n%s", i, bit, position, err, damaged)
				}
			}
		}
	}
}

func TestLinesThatAreDamaged(t *testing.T) {
	lines, before := sampleLines(t)
	line := string(lines[1])
	for _, test := range []struct{ name, line string }{
		{"none", ""},
		{"a newline", "\n"},
		{"cut before its newline", line[:len(line)-1]},
		{"cut in the middle", line[:40] + "\n"},
		{"two glued together", line[:len(line)-1] + line},
		{"another line", string(lines[2])},
		{"a header", string(AppendHeader(nil, NewHeader("id", store.Position{})))},
		{"a chain in upper case", strings.Replace(line, before[2].String(), strings.ToUpper(before[2].String()), 1)},
		{"nothing but a chain", chainField + before[0].String() + LineEnd},
		{"zeros", strings.Repeat("\x00", len(line))},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := ParseLine([]byte(test.line), before[1]); !errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrFormat) {
				t.Errorf("error is %v", err)
			}
		})
	}
	if _, _, err := LineChain([]byte(`{"seq":1` + chainField + before[1].String() + LineEnd)); err != nil {
		t.Errorf("a line that nothing is held against: %v", err)
	}
	if _, _, err := LineChain([]byte(`{"seq":"one"` + chainField + before[1].String() + LineEnd)); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a line that is no change: %v", err)
	}
}

// TestLinesOfNewerReleases: what this release would lose on a replay, it refuses.
func TestLinesOfNewerReleases(t *testing.T) {
	var previous store.Digest
	for _, body := range []string{`{"seq":1,"colour":"red"`, `{"seq":1,"token":{"id":"x","colour":"red"}`, `{"seq":-1`, `{"seq":1}{"seq":2`} {
		line := []byte(body + chainField + chainOf(previous, []byte(body)).String() + LineEnd)
		if _, _, err := ParseLine(line, previous); !errors.Is(err, store.ErrFormat) || errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	_, before := sampleLines(t)
	want := NewHeader("store", store.Position{Sequence: 3, Chain: before[3]})
	line := AppendHeader([]byte("before"), want)
	if text := "before" + `{"journal":2,"store":"store","first":4,"chain":"` + before[3].String() + "\"}\n"; string(line) != text {
		t.Errorf("header is %s, want %s", line, text)
	}
	got, err := ParseHeader(line[len("before"):])
	if err != nil || got != want || got.After() != (store.Position{Sequence: 3, Chain: before[3]}) {
		t.Errorf("header reads as %+v, %v", got, err)
	}
}

func TestHeadersThatAreNotRead(t *testing.T) {
	chain := store.Digest{}.String()
	for _, test := range []struct {
		name, line string
		want       error
	}{
		{"none", "", store.ErrDamaged},
		{"cut", `{"journal":2,"store":"s","first":1,"chain":"` + chain, store.ErrDamaged},
		{"without its newline", `{"journal":2,"store":"s","first":1,"chain":"` + chain + `"}`, store.ErrDamaged},
		{"a line of a change", `{"seq":1}` + "\n", store.ErrDamaged},
		{"without a store", `{"journal":2,"first":1,"chain":"` + chain + "\"}\n", store.ErrDamaged},
		{"without a number", `{"journal":2,"store":"s","chain":"` + chain + "\"}\n", store.ErrDamaged},
		{"with another chain", `{"journal":2,"store":"s","first":1,"chain":"abc"}` + "\n", store.ErrDamaged},
		{"with a field more", `{"journal":2,"store":"s","first":1,"chain":"` + chain + `","x":1}` + "\n", store.ErrDamaged},
		{"of another release", `{"journal":1,"x":1}` + "\n", store.ErrFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			if header, err := ParseHeader([]byte(test.line)); !errors.Is(err, test.want) {
				t.Errorf("header is %+v, %v", header, err)
			}
		})
	}
}

// FuzzLine: what is read was written; nothing else is.
func FuzzLine(f *testing.F) {
	lines, before := sampleLines(f)
	for i, line := range lines {
		f.Add(line, before[i][:])
	}
	f.Add([]byte(`{"seq":1`+chainField+before[1].String()+LineEnd), before[0][:])
	f.Fuzz(func(t *testing.T, line, previousBytes []byte) {
		var previous store.Digest
		copy(previous[:], previousBytes)
		change, chain, err := LineChain(line)
		if err != nil {
			if !errors.Is(err, store.ErrDamaged) {
				t.Fatalf("unverified: %v", err)
			}
		} else if change.Time.Year() < 10_000 {
			// Whatever was read can be written, and is read back alike.
			again, next := mustAppend(t, nil, chain, change)
			back, backChain, err := ParseLine(again, chain)
			if err != nil || backChain != next {
				t.Fatalf("written again: %v\n%s", err, again)
			}
			if third, _ := mustAppend(t, nil, chain, back); !bytes.Equal(third, again) {
				t.Fatalf("%s\nis not\n%s", third, again)
			}
		}
		_, verified, err := ParseLine(line, previous)
		switch {
		case err == nil && (verified != chain || chainOf(previous, line[:len(line)-chainTail]) != chain):
			t.Fatalf("read with chain %s, its own is %s", verified, chain)
		case err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrFormat):
			t.Fatalf("verified: %v", err)
		}
	})
}

func BenchmarkAppendLine(b *testing.B) {
	change := sampleChanges()[0]
	var buffer []byte
	var chain store.Digest
	for b.Loop() {
		buffer, chain = mustAppend(b, buffer[:0], chain, change)
	}
	b.ReportAllocs()
}
