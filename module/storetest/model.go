package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// Model checks random histories of a registry over a pair of stores against a
// plain map.
func Model(t *testing.T, metadata MetadataPlace, blobs BlobPlace) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{pairFixture: newPairFixture(quiet{t, rt}, metadata, blobs), files: make(map[registry.Ref]string)}
		defer func() { m.noError(m.Registry.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"publish":        m.publishOne,
			"delete file":    m.deleteOne,
			"delete version": m.deleteVersionOne,
			"reopen":         func(*rapid.T) { m.reopen() },
			"clean up":       m.cleanUp,
			"lose bytes":     m.lose,
			"":               m.check,
		})
	})
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
	files map[registry.Ref]string // folded ref to content
}

var (
	drawOwner   = rapid.SampledFrom([]string{"alice", "Alice", "bob"})
	drawPackage = rapid.SampledFrom([]string{"p", "q"})
	drawVersion = rapid.SampledFrom([]string{"1", "1/2", "V", "v"})
	drawFile    = rapid.SampledFrom([]string{"f", "F", "g"})
	drawContent = rapid.SampledFrom([]string{"", "x", "yy", strings.Repeat("large", 10_000)})
)

func (m *model) drawRef(t *rapid.T) registry.Ref {
	return ref(drawOwner.Draw(t, "owner"), drawPackage.Draw(t, "package"), drawVersion.Draw(t, "version"), drawFile.Draw(t, "file"))
}

func (m *model) publishOne(t *rapid.T) {
	r, content := m.drawRef(t), drawContent.Draw(t, "content")
	err := m.publish(r, content)
	if _, exists := m.files[r.Key()]; exists {
		m.wantError(err, registry.ErrExists)
		return
	}
	m.noError(err)
	m.files[r.Key()] = content
}

func (m *model) deleteOne(t *rapid.T) {
	r := m.drawRef(t)
	err := m.DeleteFile(context.Background(), r, "alice")
	if want := m.missing(r.Key()); want != nil {
		m.wantError(err, want)
		return
	}
	m.noError(err)
	delete(m.files, r.Key())
}

func (m *model) deleteVersionOne(t *rapid.T) {
	r := m.drawRef(t).VersionRef
	err := m.DeleteVersion(context.Background(), r, "alice")
	if !m.hasVersion(r.Key()) {
		m.wantError(err, registry.ErrPackageNotFound)
		return
	}
	m.noError(err)
	maps.DeleteFunc(m.files, func(file registry.Ref, _ string) bool { return file.VersionRef == r.Key() })
}

// missing is the error that a file which is not there gives.
func (m *model) missing(key registry.Ref) error {
	if _, exists := m.files[key]; exists {
		return nil
	}
	if m.hasVersion(key.VersionRef) {
		return registry.ErrFileNotFound
	}
	return registry.ErrPackageNotFound
}

func (m *model) hasVersion(key registry.VersionRef) bool {
	for file := range m.files {
		if file.VersionRef == key {
			return true
		}
	}
	return false
}

// cleanUp leaves exactly one blob for each content that a file has.
func (m *model) cleanUp(*rapid.T) {
	contents := slices.Compact(slices.Sorted(maps.Values(m.files)))
	if count := m.settle(); count != len(contents) {
		m.Fatalf("%d blobs for %d contents", count, len(contents))
	}
}

// lose takes one file's bytes away and publishes them again under another name,
// which must heal all that had them.
func (m *model) lose(t *rapid.T) {
	if len(m.files) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(m.files), func(a, b registry.Ref) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	lost := rapid.SampledFrom(keys).Draw(t, "lost")
	file, err := m.Lookup(context.Background(), lost)
	m.noError(err)
	m.noError(m.blobs.Delete(context.Background(), file.Locator))
	healer := ref("healer", "p", "1", "f")
	m.noError(m.publish(healer, m.files[lost]))
	m.noError(m.DeleteFile(context.Background(), healer, "alice"))
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

func (m *model) checkOne(key registry.Ref) {
	got, err := m.read(key)
	if want := m.missing(key); want != nil {
		if !errors.Is(err, want) {
			m.Fatalf("%v: error is %v, want %v", key, err, want)
		}
		return
	}
	m.noError(err)
	if got != m.files[key] {
		m.Fatalf("%v: content of %d bytes, want %d", key, len(got), len(m.files[key]))
	}
}
