package badger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
)

// layerModel is a database whose layers reach Badger now and then, and what it must
// read like: records by key, as they are now and as each reader began to see them.
type layerModel struct {
	db      *database
	space   string // begins every key: nobody else has it
	now     map[string]uint64
	next    uint64
	readers []layerReader
}

type layerReader struct {
	reader
	end     func()
	records map[string]uint64
}

// commit writes and deletes some records.
func (m *layerModel) commit(t *rapid.T) {
	l := newLayer()
	now := maps.Clone(m.now)
	for range rapid.IntRange(1, 4).Draw(t, "records") {
		key := m.drawKey(t)
		if rapid.Bool().Draw(t, "deleted") {
			l.delete([]byte(key))
			delete(now, key)
			continue
		}
		m.next++
		l.put([]byte(key), &idRecord{m.next})
		now[key] = m.next
	}
	m.db.commit(l)
	m.now = now
}

// drawKey has keys with the prefix that is read, and before and behind them.
func (m *layerModel) drawKey(t *rapid.T) string {
	return m.space + rapid.SampledFrom([]string{"p", "p", "o", "q"}).Draw(t, "prefix") +
		rapid.SampledFrom([]string{"", "/", "/1", "/2", "/\xff", "0"}).Draw(t, "rest")
}

func (m *layerModel) store(t *rapid.T) {
	if err := m.db.persistAll(); err != nil {
		t.Fatal(err)
	}
}

func (m *layerModel) beginRead(*rapid.T) {
	r, end := m.db.snapshot()
	m.readers = append(m.readers, layerReader{r, end, m.now})
}

func (m *layerModel) endRead(*rapid.T) {
	if len(m.readers) > 0 {
		m.readers[0].end()
		m.readers = m.readers[1:]
	}
}

func (m *layerModel) endAll() {
	for len(m.readers) > 0 {
		m.endRead(nil)
	}
}

// check reads every way there is, for a reader that begins now and for one other.
func (m *layerModel) check(t *rapid.T) {
	m.beginRead(t)
	last := len(m.readers) - 1
	m.readers[last].check(t, m.space, m.drawKey(t))
	m.readers[rapid.IntRange(0, last).Draw(t, "reader")].check(t, m.space, m.drawKey(t))
	m.readers[last].end()
	m.readers = m.readers[:last]
}

func (r layerReader) check(t *rapid.T, space, key string) {
	var record idRecord
	found, err := r.get([]byte(key), &record)
	if want, there := r.records[key]; err != nil || found != there || record.next != want {
		t.Fatalf("%q is %d, %v, %v; want %d, %v", key, record.next, found, err, want, there)
	}
	prefix := []byte(space + "p/")
	var from []byte
	if bytes.HasPrefix([]byte(key), prefix) {
		from = []byte(key)
	}
	var got, want []string
	err = r.scan(prefix, from, func(key, value []byte) error {
		err := coding.Decode(key, value, &record)
		got = append(got, fmt.Sprint(string(key), record.next))
		return err
	})
	for _, key := range slices.Sorted(maps.Keys(r.records)) {
		if bytes.HasPrefix([]byte(key), prefix) && key >= string(from) {
			want = append(want, fmt.Sprint(key, r.records[key]))
		}
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("from %q there is %q, %v; want %q", from, got, err, want)
	}
}

// TestReadsAreOfOneMoment: whatever is committed, and whenever Badger gets it, a
// reader sees what was committed when it began.
func TestReadsAreOfOneMoment(t *testing.T) {
	db := mustOpenDatabase(t, t.TempDir())
	defer func() {
		if err := closeBadger(db); err != nil {
			t.Error(err)
		}
	}()
	histories := 0
	rapid.Check(t, func(t *rapid.T) {
		histories++
		m := &layerModel{db: db, space: fmt.Sprint(histories, "/"), now: make(map[string]uint64)}
		defer m.endAll()
		t.Repeat(map[string]func(*rapid.T){
			"commit":        m.commit,
			"store":         m.store,
			"begin to read": m.beginRead,
			"end a read":    m.endRead,
			"":              m.check,
		})
	})
}
