//go:build servers

package integration

import (
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// TestWebhooksOfSeveralNodes: all nodes publish for two owners, and one of them delivers. It is
// killed while a receiver does not answer, then the next one is stopped for as long as another
// one takes over, and goes on. Each file that was acknowledged is told, in the order of its
// owner, and no change is left in the database. Seen to fail with bookmarks that a node reads
// once, with a duty that nobody else takes, and with changes that are numbered when they are
// added.
func TestWebhooksOfSeveralNodes(t *testing.T) {
	t.Parallel()
	count := 20 // of each owner, in each of four phases
	if isLong() {
		count = 1000
	}
	w := &hookedCluster{receivers: map[string]*hookReceiver{}, files: map[string]*acknowledgedFiles{}, count: count}
	settings := []string{"admin alice"}
	for _, owner := range []string{"alice", "bob"} {
		w.receivers[owner], w.files[owner] = newHookReceiver(t), new(acknowledgedFiles)
		settings = append(settings, hooked(owner, w.receivers[owner].address)...)
	}
	w.cluster = newCluster(t, caddyBinary, 3, settings...)
	w.publish(w.nodes...)
	w.eventually("the first files are told", w.isAllTold)

	killed := w.deliverer(w.nodes)
	w.receivers["alice"].status.Store(0)
	tried := w.receivers["alice"].tried()
	var publishing sync.WaitGroup
	publishing.Go(func() { w.publish(w.nodes...) })
	w.eventually("the receiver is asked, and does not answer", func() bool { return w.receivers["alice"].tried() > tried })
	killed.kill()
	w.receivers["alice"].status.Store(http.StatusOK)
	publishing.Wait()
	others := slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n == killed })
	stopped := w.deliverer(others)
	w.eventually("another node goes on", w.isAllTold)

	killed.start(killed.config)
	stopped.signal(syscall.SIGSTOP)
	others = slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n == stopped })
	w.publish(others...)
	w.deliverer(others)
	stopped.signal(syscall.SIGCONT)
	w.eventually("the node that was stopped knows that another one delivers", func() bool { return stopped.hooks()["alice"].Elsewhere })
	w.publish(w.nodes...)
	w.eventually("all files are told", w.isAllTold)
	w.deliverer(w.nodes)
	w.eventually("no change is left in the database", func() bool {
		return slices.Equal(w.query("SELECT count(*)::text FROM generic_registry.change"), []string{"0"})
	})
	for owner, r := range w.receivers {
		t.Logf("%s: %d files acknowledged, %d told, %d of them again", owner, w.files[owner].count(), len(r.taken()), r.repeats)
	}
}

// hookedCluster is a cluster with a receiver for each of two owners.
type hookedCluster struct {
	*cluster
	receivers map[string]*hookReceiver
	files     map[string]*acknowledgedFiles
	count     int
}

// publish has nodes publish files of both owners at once.
func (w *hookedCluster) publish(nodes ...*node) {
	var all sync.WaitGroup
	for owner, files := range w.files {
		for _, n := range nodes {
			all.Go(func() { n.publishTogether(owner, files, w.count) })
		}
	}
	all.Wait()
}

// isAllTold tells whether the receivers have all that was acknowledged.
func (w *hookedCluster) isAllTold() bool {
	for owner, files := range w.files {
		told := make(map[string]bool)
		for _, name := range w.receivers[owner].taken() {
			told[name] = true
		}
		files.mu.Lock()
		missing := slices.ContainsFunc(files.names, func(name string) bool { return !told[name] })
		files.mu.Unlock()
		if missing {
			return false
		}
	}
	return true
}

// deliverer waits until one of the nodes delivers, and no other, and returns it.
func (w *hookedCluster) deliverer(nodes []*node) (found *node) {
	w.Helper()
	w.eventually("one node delivers", func() bool {
		found = nil
		for _, n := range nodes {
			hooks := n.hooks()
			for owner := range w.receivers {
				if hook := hooks[owner]; hook.Lost != 0 {
					w.Errorf("the hook of %s has lost %d changes, want none", owner, hook.Lost)
				}
			}
			if hooks["alice"].Elsewhere {
				continue
			}
			if found != nil {
				return false
			}
			found = n
		}
		return found != nil
	})
	return found
}
