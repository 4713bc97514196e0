package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Metadata runs the contract of store.MetadataStore.
func Metadata(t *testing.T, place MetadataPlace) {
	clauses := maps.Clone(catalogClauses)
	maps.Copy(clauses, draftClauses)
	maps.Copy(clauses, duplicateClauses)
	maps.Copy(clauses, countClauses)
	maps.Copy(clauses, map[string]func(*metadataFixture){
		"a published file is found in any case, shown as first spelled":   spelling,
		"missing version and missing file are told apart":                 missing,
		"names that look alike do not meet":                               lookalikes,
		"names of every allowed kind come back":                           oddNames,
		"a second publish is refused and its bytes condemned":             duplicate,
		"of 8 racing publishes of one file one wins":                      race,
		"racing publishes of one content under 8 names all win":           raceOfNames,
		"content published again has its new bytes, under every name":     replaced,
		"a publish long after its bytes were stored is refused":           tooLate,
		"a publish that is tried again is made once":                      publishedAgain,
		"bytes that a file has are not condemned under another digest":    otherBytesAgain,
		"bytes that are condemned are not published":                      condemnedAgain,
		"bytes are condemned with their last file":                        lastReference,
		"a version goes with its last file and can be published again":    lastFile,
		"deleting a version hides all files at once":                      deleteVersion,
		"a version published again survives the clean-up of the old":      republishBeforeCleanup,
		"content published again after it was condemned stays":            republishAfterCondemn,
		"deleted versions are cleaned up while bytes stay condemned":      cleanedUpMeanwhile,
		"deleted versions are cleaned up without a list":                  cleanedUpUnlisted,
		"forgetting locators that are not condemned changes nothing":      buryUnknown,
		"unnamed are those that no record has":                            unnamedLocators,
		"all of it survives closing and opening":                          reopened,
		"a store keeps its ID":                                            ownID,
		"an ended context changes nothing":                                endedContext,
		"a closed store is unavailable and closing twice is harmless":     closedStore,
		"deletes of missing names say what is missing, change nothing":    deleteMissing,
		"mixed work of 8 clients leaves what their own record says":       mixedClients,
		"an empty file is a file":                                         emptyFile,
		"after everything is deleted nothing is left but the condemned":   nothingLeft,
		"a NUL in a name finds nothing":                                   separatorInName,
		"two files of one version may share their bytes":                  sharedWithinVersion,
		"what an owner has is counted through every change":               usageCounted,
		"a publish over the quota is refused and its bytes condemned":     quotaRefused,
		"of racing publishes just those that fit the quota win":           quotaRace,
		"a publish over the quota of files is refused, also an empty one": filesRefused,
		"of racing publishes just those that fit the quota of files win":  filesRace,
		"a condemned locator is offered until it is buried, then no more": offeredUntilBuried,
		"blobs are listed once each, in order, in pages":                  blobsListed,
		"blobs that changed are listed as they are":                       blobsAfterChanges,
		"damage of a blob is kept, and told wherever the blob is":         damageKept,
		"damage ends with the bytes that have it":                         damageEnds,
		"how far a scrub came survives closing and opening":               scrubKept,
		"the condition of a store is told when it is closed too":          metadataCondition,
	})
	for name, test := range clauses {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newMetadataFixture(t, place)) })
			goleak.VerifyNone(t, before)
		})
	}
}

func spelling(f *metadataFixture) {
	published := f.mustPublish(ref("Alice", "Tool", "V1-Beta", "Setup.EXE"), "x")
	found := f.mustLookup(ref("aLICE", "tOOL", "v1-bETA", "sETUP.exe"))
	if found != published {
		f.Errorf("found %+v, published %+v", found, published)
	}
	if want := ref("Alice", "Tool", "V1-Beta", "Setup.EXE"); found.Ref != want {
		f.Errorf("ref is %v, want %v", found.Ref, want)
	}
	if !found.Created.Equal(epoch) || found.Creator != "alice" || found.Size != 1 || found.Digest != digestOf("x") {
		f.Errorf("file is %+v", found)
	}
	second := f.mustPublish(ref("ALICE", "TOOL", "V1-BETA", "other"), "y")
	if want := ref("Alice", "Tool", "V1-Beta", "other"); second.Ref != want {
		f.Errorf("second file's ref is %v, want %v", second.Ref, want)
	}
}

func missing(f *metadataFixture) {
	f.wantMissing(ref("a", "p", "1", "f"), store.ErrPackageNotFound)
	f.mustPublish(ref("a", "p", "1", "f"), "x")
	f.wantMissing(ref("a", "p", "1", "g"), store.ErrFileNotFound)
	f.wantMissing(ref("a", "p", "2", "f"), store.ErrPackageNotFound)
	f.wantMissing(ref("a", "q", "1", "f"), store.ErrPackageNotFound)
	f.wantMissing(ref("b", "p", "1", "f"), store.ErrPackageNotFound)
	_, err := f.FindBlob(context.Background(), digestOf("unknown"))
	f.wantError(err, store.ErrBlobNotFound)
}

func lookalikes(f *metadataFixture) {
	refs := []store.Ref{
		ref("a", "bc", "d", "e"), ref("ab", "c", "d", "e"), ref("a", "b", "cd", "e"), ref("a", "b", "c", "de"),
		ref("a", "b", "c/d", "e"), ref("a", "b", "c", "d.e"), ref("a", "b", "c", "e"),
	}
	for i, r := range refs {
		f.mustPublish(r, numbered(i))
	}
	for i, r := range refs {
		if got := f.mustLookup(r); got.Digest != digestOf(numbered(i)) {
			f.Errorf("%v has another's bytes", r)
		}
	}
}

func oddNames(f *metadataFixture) {
	long := strings.Repeat("n", naming.MaxLength)
	for i, r := range []store.Ref{
		ref(long, long, long, long),
		ref("ärger", "c++", "1.0 beta/2", "a b"),
		ref("日本", "p", "%2F", "=:;()[]{}~!@#$%^& x"),
		ref("🦊", "...", "🦊\u200d", "..."),
		ref("İ", "p", "ß", "f"),
	} {
		published := f.mustPublish(r, numbered(i))
		f.reopen()
		if found := f.mustLookup(r); found != published {
			f.Errorf("found %+v, published %+v", found, published)
		}
	}
}

func duplicate(f *metadataFixture) {
	f.mustPublish(ref("a", "p", "1", "f"), "x")
	_, same, err := f.publish(ref("A", "P", "1", "F"), "x")
	f.wantError(err, store.ErrExists)
	_, other, err := f.publish(ref("a", "p", "1", "f"), "other")
	f.wantError(err, store.ErrExists)
	f.wantCondemned(same, other)
	if f.mustLookup(ref("a", "p", "1", "f")).Digest != digestOf("x") {
		f.Error("the refused content is served")
	}
	_, err = f.FindBlob(context.Background(), digestOf("other"))
	f.wantError(err, store.ErrBlobNotFound)
}

func race(f *metadataFixture) {
	const clients = 8
	files := make([]store.File, clients)
	locators := make([]store.Locator, clients)
	errs := make([]error, clients)
	inParallel(clients, func(i int) {
		files[i], locators[i], errs[i] = f.publish(ref("a", "p", "1", "f"), numbered(i))
	})
	winner := slices.Index(errs, nil)
	if winner < 0 {
		f.Fatalf("nobody won: %v", errs)
	}
	var losers []store.Locator
	for i, err := range errs {
		if i != winner {
			f.wantError(err, store.ErrExists)
			losers = append(losers, locators[i])
		}
	}
	if f.mustLookup(ref("a", "p", "1", "f")) != files[winner] {
		f.Error("the winner's file is not the one found")
	}
	f.wantCondemned(losers...)
}

func raceOfNames(f *metadataFixture) {
	const clients = 8
	errs := make([]error, clients)
	locators := make([]store.Locator, clients)
	inParallel(clients, func(i int) {
		_, locators[i], errs[i] = f.publish(ref("a", "p", numbered(i), "f"), "same")
	})
	kept := f.mustLookup(ref("a", "p", numbered(0), "f")).Locator
	var surplus []store.Locator
	for i := range clients {
		f.noError(errs[i])
		if got := f.mustLookup(ref("a", "p", numbered(i), "f")).Locator; got != kept {
			f.Errorf("file %d is at %s, file 0 at %s", i, got, kept)
		}
		if locators[i] != kept {
			surplus = append(surplus, locators[i])
		}
	}
	if len(surplus) != clients-1 {
		f.Errorf("%d locators are surplus, want %d", len(surplus), clients-1)
	}
	f.wantCondemned(surplus...)
}

func mixedClients(f *metadataFixture) {
	const clients, rounds = 8, 40
	var mu sync.Mutex
	alive := make(map[store.Ref]store.Digest)
	inParallel(clients, func(i int) {
		for round := range rounds {
			mine := ref("a", "p", numbered(i), numbered(round%5))
			content := numbered(round % 3)
			switch round % 4 {
			case 3:
				if f.DeleteFile(context.Background(), mine, act) == nil {
					mu.Lock()
					delete(alive, mine)
					mu.Unlock()
				}
			default:
				if _, _, err := f.publish(mine, content); err == nil {
					mu.Lock()
					alive[mine] = digestOf(content)
					mu.Unlock()
				}
			}
		}
	})
	for i := range clients {
		for j := range 5 {
			r := ref("a", "p", numbered(i), numbered(j))
			file, err := f.Lookup(context.Background(), r)
			want, lives := alive[r]
			if lives != (err == nil) || lives && file.Digest != want {
				f.Errorf("%v: lives %v, found %v %v", r, lives, file.Digest, err)
			}
		}
	}
	for r := range alive {
		f.noError(f.DeleteFile(context.Background(), r, act))
	}
	for _, content := range []string{numbered(0), numbered(1), numbered(2)} {
		_, err := f.FindBlob(context.Background(), digestOf(content))
		f.wantError(err, store.ErrBlobNotFound)
	}
}
