package module

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// What can be asked under the health path of a handler.
const (
	probeLive  = "live"
	probeReady = "ready"
)

// provisionHealth checks where live and ready answer. The API must not have these
// paths.
func (h *Handler) provisionHealth() (err error) {
	if h.Health == "" {
		return nil
	}
	if h.Health, err = caddy.NewReplacer().ReplaceOrErr(h.Health, true, true); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	h.health, err = CheckHealth(h.Health, h.Prefix)
	return err
}

// CheckHealth returns the segments of a health path. One whose paths the API has, or
// that is no path, is an error.
func CheckHealth(path, prefix string) ([]string, error) {
	health, err := visit.ParsePrefix("health", path)
	if err != nil {
		return nil, err
	}
	top, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	for _, probe := range []string{probeLive, probeReady} {
		if visit.IsUnder(top, append(health[:len(health):len(health)], probe)) {
			return nil, fmt.Errorf("health is %q: its paths are under the prefix %q, which has the API; write one beside it", path, prefix)
		}
	}
	return health, nil
}

// healthProbe tells whether a path is one of the health path's, and which.
func (h *Handler) healthProbe(escaped string) (probe string, ours bool) {
	if h.health == nil {
		return "", false
	}
	below, inside := visit.ParsePath(escaped).Under(h.health)
	segments, err := below.Segments()
	if !inside || err != nil || len(segments) != 1 {
		return "", false
	}
	return segments[0], segments[0] == probeLive || segments[0] == probeReady
}

// answerProbe says whether the registry is live or ready, and not why: anyone may
// ask.
func (h *Handler) answerProbe(w http.ResponseWriter, r *http.Request, probe string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		visit.Deny(w, r, visit.MethodNotAllowed("GET, HEAD"))
		return
	}
	status, text := http.StatusOK, "ok"
	if !h.passes(probe) {
		status, text = http.StatusServiceUnavailable, "unavailable"
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
}

func (h *Handler) passes(probe string) bool {
	health, err := pool.Registries.HealthOf(h.store)
	if err != nil {
		return false
	}
	if probe == probeReady {
		return health.Ready()
	}
	return health.Live()
}

// healthJSON is how a registry is, as the admin endpoint shows it.
type healthJSON struct {
	Root string `json:"root"`
	// Live: files can be read. Ready: and published and deleted. Healthy: and there
	// are no problems; damaged files are one, which do not keep the others.
	Live    bool `json:"live"`
	Ready   bool `json:"ready"`
	Healthy bool `json:"healthy"`
	// Problems are for administrators.
	Problems []string     `json:"problems"`
	Metadata *storeJSON   `json:"metadata,omitempty"`
	Blobs    *storeJSON   `json:"blobs,omitempty"`
	Journal  *journalJSON `json:"journal,omitempty"`
	Scrub    *scrubJSON   `json:"scrub,omitempty"`
	Damaged  damagedJSON  `json:"damaged"`
}

// storeJSON is how one half of a registry is.
type storeJSON struct {
	Free    uint64 `json:"free"`
	Reserve uint64 `json:"reserve"`
	// FreeFiles and ReserveFiles are missing where files are limited by bytes alone.
	FreeFiles    *uint64 `json:"free_files,omitempty"`
	ReserveFiles *uint64 `json:"reserve_files,omitempty"`
	Fault        string  `json:"fault,omitempty"`
}

type journalJSON struct {
	Sequence uint64 `json:"sequence"`
}

// scrubJSON is the pass under way, or the last one.
type scrubJSON struct {
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
	Blobs    int64      `json:"blobs"`
	Bytes    int64      `json:"bytes"`
	Damaged  int64      `json:"damaged"`
	UnderWay bool       `json:"under_way"`
	// Rate in bytes per second, 0 when off.
	Rate int64 `json:"rate"`
}

type damagedJSON struct {
	Count int64 `json:"count"`
	// Digests of the first 100.
	Digests []string `json:"digests"`
}

// healthToJSON shows the health of a registry of the pool.
func healthToJSON(health pool.Health) healthJSON {
	if health.Fault != nil {
		return healthJSON{Root: health.Root, Problems: []string{health.Fault.Error()}, Damaged: damagedJSON{Digests: []string{}}}
	}
	shown := healthJSON{
		Root: health.Root, Live: health.Live(), Ready: health.Ready(),
		Problems: problemsOf(health.Health),
		Metadata: storeToJSON(health.Metadata), Blobs: storeToJSON(health.Blobs),
		Journal: &journalJSON{health.Metadata.Journal.Sequence},
		Scrub: &scrubJSON{
			Started: orNil(health.Scrub.Started), Finished: orNil(health.Scrub.Finished),
			Blobs: health.Scrub.Blobs, Bytes: health.Scrub.Bytes, Damaged: health.Scrub.Damaged,
			UnderWay: health.Scrub.Reading, Rate: health.Scrub.Rate,
		},
		Damaged: damagedJSON{Count: health.Damage.Count, Digests: make([]string, 0, len(health.Damage.Digests))},
	}
	shown.Healthy = shown.Ready && len(shown.Problems) == 0
	for _, digest := range health.Damage.Digests {
		shown.Damaged.Digests = append(shown.Damaged.Digests, digest.String())
	}
	return shown
}

func storeToJSON(c store.Condition) *storeJSON {
	shown := &storeJSON{Free: c.Space.Free, Reserve: c.Space.Reserve}
	if c.Space.ReserveFiles > 0 {
		shown.FreeFiles, shown.ReserveFiles = &c.Space.FreeFiles, &c.Space.ReserveFiles
	}
	if c.Fault != nil {
		shown.Fault = c.Fault.Error()
	}
	return shown
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
			problems = append(problems, fmt.Sprintf("%s: the disk takes %d more files (inodes), the reserve is %d: nothing is published until it takes more",
				store.name, space.FreeFiles, space.ReserveFiles))
		}
	}
	if health.Scrub.Fault != nil {
		problems = append(problems, fmt.Sprintf("scrub: %v", health.Scrub.Fault))
	}
	if count := health.Sweep.Withheld; count > 0 {
		problems = append(problems, fmt.Sprintf("no file refers to %d blobs, which is unusually many: none is deleted; look whether the metadata is the right one, then run `caddy generic-registry sweep --confirm`", count))
	}
	if count := health.Damage.Count; count > 0 {
		problems = append(problems, fmt.Sprintf("%d blobs are damaged: publish the same content again, under any name, or delete their files; the log says what is wrong", count))
	}
	return problems
}

// serveHealth answers with the health of all registries, or of those with a root.
func serveHealth(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return adminError(http.StatusMethodNotAllowed, errMethod)
	}
	root := r.URL.Query().Get("root")
	registries := pool.Registries.Health(root)
	if root != "" && len(registries) == 0 {
		return adminError(http.StatusNotFound, fmt.Errorf("%w: none has the root %s", pool.ErrNoRegistry, root))
	}
	status, all := http.StatusOK, make([]healthJSON, 0, len(registries))
	for _, health := range registries {
		shown := healthToJSON(health)
		if !shown.Ready {
			status = http.StatusServiceUnavailable
		}
		all = append(all, shown)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(all)
}
