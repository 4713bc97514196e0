// Package storetest is the contract of store.MetadataStore and
// store.BlobStore as test suites. Every backend passes the same ones.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// MetadataPlace makes a fresh, empty place and returns what opens a store on it.
// After Close the place can be opened again and has what was stored.
type MetadataPlace func(t testing.TB) (open func() (store.MetadataStore, error))

// BlobPlace makes a fresh, empty place and returns what opens a blob store on it. After
// Close the place can be opened again and has what was stored.
type BlobPlace func(t testing.TB) (open func() (store.BlobStore, error))

// epoch is a time that survives every encoding.
var epoch = time.Date(2026, time.March, 1, 12, 0, 0, 123_456_789, time.UTC)

// act is a change of the suite's.
var act = store.Act{User: "alice", Time: epoch}

func ref(owner, pkg, version, file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: pkg, Version: version}, File: file}
}

func digestOf(content string) store.Digest { return sha256.Sum256([]byte(content)) }

// metadataFixture is one subtest's store, with the steps that most tests share.
type metadataFixture struct {
	testing.TB
	store.MetadataStore
	open func() (store.MetadataStore, error)
}

func newMetadataFixture(t testing.TB, place MetadataPlace) *metadataFixture {
	f := &metadataFixture{TB: t, open: place(t)}
	f.mustOpen()
	t.Cleanup(func() { f.noError(f.MetadataStore.Close()) })
	return f
}

func (f *metadataFixture) mustOpen() {
	f.Helper()
	metadata, err := f.open()
	f.noError(err)
	f.MetadataStore = metadata
}

func (f *metadataFixture) reopen() {
	f.Helper()
	f.noError(f.MetadataStore.Close())
	f.mustOpen()
}

func (f *metadataFixture) noError(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *metadataFixture) wantError(got, want error) {
	f.Helper()
	if !errors.Is(got, want) {
		f.Fatalf("error is %v, want %v", got, want)
	}
}

// publication is content whose bytes were stored just now, under a fresh locator.
func (f *metadataFixture) publication(r store.Ref, content string) store.Publication {
	return store.Publication{
		Ref:  r,
		Blob: store.Blob{Locator: store.NewLocator(1), Digest: digestOf(content), Size: int64(len(content))},

		Stored: f.Clock(), Creator: "alice", Created: epoch,
	}
}

// publish publishes content under ref and returns the locator of its bytes.
func (f *metadataFixture) publish(r store.Ref, content string) (store.File, store.Locator, error) {
	f.Helper()
	p := f.publication(r, content)
	file, _, err := f.Publish(context.Background(), p)
	return file, p.Locator, err
}

func (f *metadataFixture) mustPublish(r store.Ref, content string) store.File {
	f.Helper()
	file, _, err := f.publish(r, content)
	f.noError(err)
	return file
}

func (f *metadataFixture) mustLookup(r store.Ref) store.File {
	f.Helper()
	file, err := f.Lookup(context.Background(), r)
	f.noError(err)
	return file
}

func (f *metadataFixture) wantMissing(r store.Ref, want error) {
	f.Helper()
	_, err := f.Lookup(context.Background(), r)
	f.wantError(err, want)
}

// drain takes all that is condemned, as the reaper does, and returns it sorted.
func (f *metadataFixture) drain() []store.Locator {
	f.Helper()
	var all []store.Locator
	for {
		locators, err := f.Reclaim(context.Background(), 7)
		f.noError(err)
		if len(locators) == 0 {
			slices.Sort(all)
			return all
		}
		if len(locators) > 7 {
			f.Fatalf("%d locators, limit is 7", len(locators))
		}
		f.noError(f.Bury(context.Background(), locators))
		all = append(all, locators...)
	}
}

func (f *metadataFixture) wantCondemned(want ...store.Locator) {
	f.Helper()
	got := f.drain()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Fatalf("condemned: %v, want %v", got, want)
	}
}

func (f *metadataFixture) unnamed(locators ...store.Locator) []store.Locator {
	f.Helper()
	unnamed, err := f.Unnamed(context.Background(), locators)
	f.noError(err)
	slices.Sort(unnamed)
	return unnamed
}

// inParallel runs n calls that start together.
func inParallel(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func numbered(i int) string { return fmt.Sprintf("file-%05d.bin", i) }
