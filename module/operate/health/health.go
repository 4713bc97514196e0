// Package health shows the state of a registry: in JSON for administrators, and as live and
// ready at public paths.
package health

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Registry is how a registry is, as the admin endpoint shows it.
type Registry struct {
	Root string `json:"root"`
	// Live: files can be downloaded. Ready: files can be published and deleted too. Healthy:
	// there are no problems too. Damaged files are a problem, but leave a registry ready.
	Live    bool `json:"live"`
	Ready   bool `json:"ready"`
	Healthy bool `json:"healthy"`
	// Problems are for administrators.
	Problems []string `json:"problems"`
	Metadata *Store   `json:"metadata,omitempty"`
	Blobs    *Store   `json:"blobs,omitempty"`
	// Journal is missing where the metadata store keeps none.
	Journal *Journal `json:"journal,omitempty"`
	Scrub   *Scrub   `json:"scrub,omitempty"`
	Damaged Damaged  `json:"damaged"`
	// Nodes are the Caddys that have the registry open. Missing where only one can have it open.
	Nodes []Node `json:"nodes,omitempty"`
}

// Node is a Caddy that has a registry open.
type Node struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen"`
	Self bool      `json:"self"`
	// Rules is a digest of who may do what.
	Rules string `json:"rules"`
}

// Store is how one half of a registry is.
type Store struct {
	Free    uint64 `json:"free"`
	Reserve uint64 `json:"reserve"`
	// FreeFiles and ReserveFiles are missing where files are limited by bytes alone.
	FreeFiles    *uint64 `json:"free_files,omitempty"`
	ReserveFiles *uint64 `json:"reserve_files,omitempty"`
	// FreeDescriptors and ReserveDescriptors are of the process, and missing where they
	// are not known.
	FreeDescriptors    *uint64 `json:"free_descriptors,omitempty"`
	ReserveDescriptors *uint64 `json:"reserve_descriptors,omitempty"`
	Fault              string  `json:"fault,omitempty"`
}

type Journal struct {
	Sequence uint64 `json:"sequence"`
}

// Scrub is the scrub in progress, or the last one.
type Scrub struct {
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Blobs    int64     `json:"blobs"`
	Bytes    int64     `json:"bytes"`
	Damaged  int64     `json:"damaged"`
	UnderWay bool      `json:"under_way"`
	// Rate in bytes per second, 0 when off.
	Rate int64 `json:"rate"`
}

type Damaged struct {
	Count int64 `json:"count"`
	// Digests of the first 100.
	Digests []string `json:"digests"`
}

// Of shows the health of a registry of the pool.
func Of(health pool.Health) Registry {
	if health.Fault != nil {
		return Registry{Root: health.Root, Problems: []string{health.Fault.Error()}, Damaged: Damaged{Digests: []string{}}}
	}
	shown := Registry{
		Root: health.Root, Live: health.Live(), Ready: health.Ready(),
		Problems: problemsOf(health.Health),
		Metadata: storeOf(health.Metadata), Blobs: storeOf(health.Blobs),
		Scrub: &Scrub{
			Started: health.Scrub.Started, Finished: health.Scrub.Finished,
			Blobs: health.Scrub.Blobs, Bytes: health.Scrub.Bytes, Damaged: health.Scrub.Damaged,
			UnderWay: health.Scrub.Reading, Rate: health.Scrub.Rate,
		},
		Damaged: Damaged{Count: health.Damage.Count, Digests: make([]string, 0, len(health.Damage.Digests))},
	}
	if health.Journaled {
		shown.Journal = &Journal{health.Metadata.Journal.Sequence}
	}
	shown.Healthy = shown.Ready && len(shown.Problems) == 0
	for _, digest := range health.Damage.Digests {
		shown.Damaged.Digests = append(shown.Damaged.Digests, digest.String())
	}
	for _, node := range health.Nodes.Nodes {
		shown.Nodes = append(shown.Nodes, Node{Name: node.Name, Seen: node.Seen, Self: node.IsSelf, Rules: node.Rules})
	}
	return shown
}

func storeOf(c store.Condition) *Store {
	shown := &Store{Free: c.Space.Free, Reserve: c.Space.Reserve}
	if c.Space.ReserveFiles > 0 {
		shown.FreeFiles, shown.ReserveFiles = &c.Space.FreeFiles, &c.Space.ReserveFiles
	}
	if c.Space.ReserveDescriptors > 0 {
		shown.FreeDescriptors, shown.ReserveDescriptors = &c.Space.FreeDescriptors, &c.Space.ReserveDescriptors
	}
	if c.Fault != nil {
		shown.Fault = c.Fault.Error()
	}
	return shown
}

const (
	// failingLong is how long a webhook's receiver takes nothing before it is a problem.
	failingLong = 10 * time.Minute
	// lossShown is how long a loss stays a problem.
	lossShown = 7 * 24 * time.Hour
)

func problemsOfHook(hook webhook.Health) (problems []string) {
	if !hook.Failing.IsZero() && time.Since(hook.Failing) > failingLong {
		problems = append(problems, fmt.Sprintf("webhook %s of owner %s: its receiver has taken nothing since %s, and %d changes wait: %s",
			hook.ID, hook.Owner, hook.Failing.UTC().Format(time.RFC3339), hook.Behind, hook.Fault))
	}
	if hook.Lost > 0 && time.Since(hook.LostAt) < lossShown {
		problems = append(problems, fmt.Sprintf("webhook %s of owner %s: it gave up %d changes, the last one at %s: the receiver may have to compare its data with the registry",
			hook.ID, hook.Owner, hook.Lost, hook.LostAt.UTC().Format(time.RFC3339)))
	}
	return problems
}

// problemsOf says what an administrator should look at.
func problemsOf(health registry.Health) []string {
	problems := []string{}
	for _, store := range []struct {
		name string
		is   store.Condition
	}{{"metadata", health.Metadata}, {"blobs", health.Blobs}} {
		if store.is.Fault != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", store.name, store.is.Fault))
		}
		if store.is.Damage != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", store.name, store.is.Damage))
		}
		space := store.is.Space
		if space.Free < space.Reserve {
			problems = append(problems, fmt.Sprintf("%s: the disk has %s free, the reserve is %s: nothing is published until there is more",
				store.name, humanize.IBytes(space.Free), humanize.IBytes(space.Reserve)))
		}
		if space.FreeFiles < space.ReserveFiles {
			problems = append(problems, fmt.Sprintf("%s: the disk has %d free inodes, the reserve is %d: nothing is published until there are more",
				store.name, space.FreeFiles, space.ReserveFiles))
		}
		if space.FreeDescriptors < space.ReserveDescriptors {
			problems = append(problems, fmt.Sprintf("%s: this process has %d free file descriptors, the reserve is %d: nothing is published until there are more; raise the limit of the process",
				store.name, space.FreeDescriptors, space.ReserveDescriptors))
		}
	}
	if health.Scrub.Fault != nil {
		problems = append(problems, fmt.Sprintf("scrub: %v", health.Scrub.Fault))
	}
	if count := health.Sweep.Withheld; count > 0 {
		problems = append(problems, fmt.Sprintf("no file refers to %d blobs, which is unusually many: none is deleted; check that the metadata is the right one, then run `caddy generic-registry sweep --confirm`", count))
	}
	problems = append(problems, health.Nodes.Problems()...)
	for _, hook := range health.Webhooks {
		problems = append(problems, problemsOfHook(hook)...)
	}
	if count := health.Damage.Count; count > 0 {
		problems = append(problems, fmt.Sprintf("%d blobs are damaged: publish the same content again, under any name, or delete their files; the log says what is wrong", count))
	}
	return problems
}
