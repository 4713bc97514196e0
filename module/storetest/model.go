package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// PairPlace makes fresh, empty places for both stores of a registry. Crash is what a
// killed process leaves: it moves the places to where what is on disk at this moment
// is found, while the stores are still open. It is nil for places that have no other
// state than the one of now.
type PairPlace func(t testing.TB) (metadata MetadataPlace, blobs BlobPlace, crash func())

// Model checks random histories of a registry over a pair of stores against a
// plain map, under a clock that jumps.
func Model(t *testing.T, place PairPlace) {
	rapid.Check(t, func(rt *rapid.T) {
		metadata, blobs, crash := place(t)
		m := &model{pairFixture: newPairFixture(quiet{t, rt}, metadata, blobs), files: make(map[store.Ref]published), dates: make(map[store.Ref]time.Time)}
		m.today.Store(&epoch)
		m.noError(m.Registry.Close()) // it reads the clock
		m.clock = func() time.Time { return *m.today.Load() }
		m.mustOpen()
		defer func() { m.noError(m.Registry.Close()) }()
		steps := map[string]func(*rapid.T){
			"publish":        m.publishOne,
			"delete file":    m.deleteOne,
			"delete version": m.deleteVersionOne,
			"reopen":         func(*rapid.T) { m.reopen() },
			"turn the clock": m.turnClock,
			"clean up":       m.cleanUp,
			"lose bytes":     m.lose,
			"":               m.check,
		}
		if crash != nil {
			steps["crash"] = func(*rapid.T) { crash(); m.reopen() }
		}
		rt.Repeat(steps)
	})
}

// published is what the model knows of a file.
type published struct {
	content string
	at      time.Time
}

// turnClock sets the clock years forward or back, and never to a time that it showed.
func (m *model) turnClock(t *rapid.T) {
	m.turns++
	now := epoch.AddDate(rapid.IntRange(-60, 100).Draw(t, "years"), 0, 0).Add(time.Duration(m.turns) * 2 * time.Hour)
	m.today.Store(&now)
	clear(m.dates)
}

// reopen forgets the dates of the latest publishes, as the registry does.
func (m *model) reopen() {
	m.pairFixture.reopen()
	clear(m.dates)
}

// date is the date of a file that is published now: the time, or the next second after
// the date of the file that it replaces.
func (m *model) date(key store.Ref) time.Time {
	if last, ok := m.dates[key]; ok {
		return last.Truncate(time.Second).Add(time.Second)
	}
	return m.clock()
}

// quiet gives a fixture the test's directories but reports to rapid, and leaves
// closing to the model: rapid runs many histories in one test.
type quiet struct {
	testing.TB
	rt *rapid.T
}

func (q quiet) Fatal(args ...any)                 { q.rt.Fatal(args...) }
func (q quiet) Fatalf(format string, args ...any) { q.rt.Fatalf(format, args...) }
func (q quiet) Errorf(format string, args ...any) { q.rt.Errorf(format, args...) }
func (q quiet) Cleanup(func())                    {}

type model struct {
	*pairFixture
	files map[store.Ref]published   // by folded ref
	dates map[store.Ref]time.Time   // of the latest publishes, by folded ref; the clock was not turned since
	turns int                       // of the clock
	today atomic.Pointer[time.Time] // which background work reads too
}

var (
	drawOwner   = rapid.SampledFrom([]string{"alice", "Alice", "bob"})
	drawPackage = rapid.SampledFrom([]string{"p", "q"})
	drawVersion = rapid.SampledFrom([]string{"1", "1/2", "V", "v"})
	drawFile    = rapid.SampledFrom([]string{"f", "F", "g"})
	drawContent = rapid.SampledFrom([]string{"", "x", "yy", strings.Repeat("large", 10_000)})
)

func (m *model) drawRef(t *rapid.T) store.Ref {
	return ref(drawOwner.Draw(t, "owner"), drawPackage.Draw(t, "package"), drawVersion.Draw(t, "version"), drawFile.Draw(t, "file"))
}

func (m *model) publishOne(t *rapid.T) {
	r, content := m.drawRef(t), drawContent.Draw(t, "content")
	err := m.publish(r, content)
	if _, exists := m.files[r.Key()]; exists {
		m.wantError(err, store.ErrExists)
		return
	}
	m.noError(err)
	date := m.date(r.Key())
	m.files[r.Key()], m.dates[r.Key()] = published{content, date}, date
}

func (m *model) deleteOne(t *rapid.T) {
	r := m.drawRef(t)
	err := m.DeleteFile(context.Background(), r, store.Act{User: "alice"})
	if want := m.missing(r.Key()); want != nil {
		m.wantError(err, want)
		return
	}
	m.noError(err)
	delete(m.files, r.Key())
}

func (m *model) deleteVersionOne(t *rapid.T) {
	r := m.drawRef(t).VersionRef
	err := m.DeleteVersion(context.Background(), r, store.Act{User: "alice"})
	if !m.hasVersion(r.Key()) {
		m.wantError(err, store.ErrPackageNotFound)
		return
	}
	m.noError(err)
	maps.DeleteFunc(m.files, func(file store.Ref, _ published) bool { return file.VersionRef == r.Key() })
}

// missing is the error that a file which is not there gives.
func (m *model) missing(key store.Ref) error {
	if _, exists := m.files[key]; exists {
		return nil
	}
	if m.hasVersion(key.VersionRef) {
		return store.ErrFileNotFound
	}
	return store.ErrPackageNotFound
}

func (m *model) hasVersion(key store.VersionRef) bool {
	for file := range m.files {
		if file.VersionRef == key {
			return true
		}
	}
	return false
}

// cleanUp leaves exactly one blob for each content that a file has.
func (m *model) cleanUp(*rapid.T) {
	contents := make(map[string]bool)
	for _, file := range m.files {
		contents[file.content] = true
	}
	if count := m.reapAndSweep(); count != len(contents) {
		m.Fatalf("%d blobs for %d contents", count, len(contents))
	}
	if checked, ok := m.metadata.(store.Checked); ok {
		m.noError(checked.Check(context.Background(), func(problem string) { m.Errorf("%s", problem) }))
	}
}

// lose takes one file's bytes away and publishes them again under another name,
// which must heal all that had them.
func (m *model) lose(t *rapid.T) {
	if len(m.files) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m.files), func(a, b store.Ref) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	lost := rapid.SampledFrom(keys).Draw(t, "lost")
	file, err := m.Lookup(context.Background(), lost)
	m.noError(err)
	m.noError(m.blobs.Delete(context.Background(), file.Locator))
	healer := ref("healer", "p", "1", "f")
	m.noError(m.publish(healer, m.files[lost].content))
	m.noError(m.DeleteFile(context.Background(), healer, store.Act{User: "alice"}))
}

// check compares every name that can be drawn.
func (m *model) check(*rapid.T) {
	for _, owner := range []string{"alice", "bob"} {
		for _, pkg := range []string{"p", "q"} {
			for _, version := range []string{"1", "1/2", "v"} {
				for _, file := range []string{"f", "g"} {
					m.checkOne(ref(owner, pkg, version, file))
				}
			}
		}
	}
}

func (m *model) checkOne(key store.Ref) {
	file, got, err := m.readFile(key)
	if want := m.missing(key); want != nil {
		if !errors.Is(err, want) {
			m.Fatalf("%v: error is %v, want %v", key, err, want)
		}
		return
	}
	m.noError(err)
	want := m.files[key]
	if got != want.content || !file.Created.Equal(want.at) {
		m.Fatalf("%v: %d bytes of %v, want %d of %v", key, len(got), file.Created, len(want.content), want.at)
	}
}
