package badger

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// measured is what an opening took.
type measured struct {
	Time   time.Duration
	Memory int // KiB at most
}

// TestHistoryCostsNothing: a store with some live files takes as much journal, memory and
// time after a long history as without, whichever way it is opened. The test logs what
// it takes, and does not assert times.
func TestHistoryCostsNothing(t *testing.T) {
	live, changes, tune := 2_000, 20_000, func(p *home) { p.checkpointLeast, p.segment = 1_000, 256<<10 }
	if os.Getenv(long) != "" {
		live, changes, tune = 100_000, 2_000_000, func(*home) {}
	}
	dir := t.TempDir()
	plain, old := filepath.Join(dir, "plain"), filepath.Join(dir, "old")
	makeHistory(t, plain, live, 0, tune)
	makeHistory(t, old, live, changes, tune)
	t.Logf("%d live files, alone and after %d changes", live, changes)
	sizes := [2]int64{journalSize(t, plain), journalSize(t, old)}
	t.Logf("journal: %d and %d bytes, %.2fx", sizes[0], sizes[1], float64(sizes[1])/float64(sizes[0]))
	if sizes[1] > 4*sizes[0] {
		t.Errorf("the journal has %d bytes, and %d without a history", sizes[1], sizes[0])
	}
	for _, way := range []string{"start", "start without a database", "rebuild"} {
		a, b := measure(t, plain, way), measure(t, old, way)
		t.Logf("%s: %v and %v, %.2fx; %d and %d KiB, %.2fx", way, a.Time, b.Time, b.Time.Seconds()/a.Time.Seconds(), a.Memory, b.Memory, float64(b.Memory)/float64(a.Memory))
		if b.Memory > 2*a.Memory {
			t.Errorf("%s took %d KiB, and %d without a history", way, b.Memory, a.Memory)
		}
	}
}

// makeHistory makes a store with so many live files and, before that, changes: each file
// is published and deleted.
func makeHistory(t *testing.T, root string, live, changes int, tune func(*home)) {
	t.Helper()
	s, err := openTuned(filepath.Join(root, "metadata"), discard, disk.OS{}, tune)
	if err != nil {
		t.Fatal(err)
	}
	const clients = 256
	inParallel := func(count int, do func(i int) error) {
		var working sync.WaitGroup
		for client := range clients {
			working.Go(func() {
				for i := client; i < count; i += clients {
					if err := do(i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
	}
	inParallel(live, func(i int) error { return publishHistory(s, i, 0) })
	inParallel(changes/2, func(i int) error {
		ref := historyRef(i%live, 1+i/live)
		if err := publishHistory(s, i%live, 1+i/live); err != nil {
			return err
		}
		return s.DeleteFile(context.Background(), ref, testAct)
	})
	for { // what the reaper would do
		page, err := s.Reclaim(context.Background(), 1_000)
		if err != nil || len(page) == 0 {
			break
		}
		if err := s.Bury(context.Background(), page); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "no checkpoint is due", func() bool {
		due, err := s.isCheckpointDue()
		return err == nil && !due
	})
	mustClose(t, s)
}

func historyRef(i, round int) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: fmt.Sprint("owner", i%10), Package: "package", Version: fmt.Sprintf("1.%d", i/4)}, File: fmt.Sprintf("file-%d-%d.tar", i, round)}
}

func publishHistory(s *Store, i, round int) error {
	p := publicationOf(historyRef(i, round), byte(i), byte(i>>8), byte(i>>16), byte(round), byte(round>>8))
	_, _, err := s.Publish(context.Background(), p)
	return err
}

func journalSize(t *testing.T, root string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "metadata", journalDirectory), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

const openingChild = "GENERIC_REGISTRY_OPENING"

// measure opens a store in a process of its own.
func measure(t *testing.T, root, way string) (m measured) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestOpeningInAProcess$", "-test.v=false")
	child.Env = append(os.Environ(), openingChild+"="+way, "ROOT="+root, "OUT="+filepath.Join(root, "measured"))
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", way, err, out)
	}
	text, err := os.ReadFile(filepath.Join(root, "measured"))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOpeningInAProcess is what measure runs; by itself it has nothing to open.
func TestOpeningInAProcess(t *testing.T) {
	way := os.Getenv(openingChild)
	if way == "" {
		return
	}
	root := os.Getenv("ROOT")
	if way == "start without a database" {
		dropDatabase(t, filepath.Join(root, "metadata"))
	}
	began := time.Now()
	if way == "rebuild" {
		if err := (&Backend{Reserve: smallestReserve}).Rebuild(context.Background(), root, discard); err != nil {
			t.Fatal(err)
		}
	} else {
		s := mustOpen(t, root)
		defer mustClose(t, s)
	}
	m := measured{Time: time.Since(began)}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatal("the system does not tell the memory")
	}
	m.Memory, _ = strconv.Atoi(string(found[1]))
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(os.Getenv("OUT"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
