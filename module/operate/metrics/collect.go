package metrics

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	registries := c.pool.Health("")
	roots := make(map[string]int, len(registries))
	for _, health := range registries {
		roots[health.Root]++
	}
	for _, health := range registries {
		label := strings.ToValidUTF8(health.Root, "\uFFFD")
		if roots[health.Root] > 1 { // with directories of their own
			label = fmt.Sprintf("%s (%s)", label, strings.ToValidUTF8(health.Key.Metadata, "\uFFFD"))
		}
		t := teller{to, label}
		t.health(health)
		if health.Fault == nil {
			c.content(t, health)
		}
	}
	for root, traffic := range visit.AllTraffic() {
		teller{to, strings.ToValidUTF8(root, "\uFFFD")}.traffic(traffic.Counts())
	}
}

// teller tells the metrics of one registry.
type teller struct {
	to   chan<- prometheus.Metric
	root string
}

func (t teller) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	t.to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{t.root}, labels...)...)
}

func (t teller) counter(desc *prometheus.Desc, value int64, labels ...string) {
	t.to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), append([]string{t.root}, labels...)...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (t teller) traffic(counts visit.Counts) {
	t.counter(metricReceived, counts.Received)
	t.counter(metricSent, counts.Sent)
	for answered, count := range counts.Requests {
		t.counter(metricRequests, count, answered.Operation, strconv.Itoa(answered.Status))
	}
	for reason, count := range counts.Refusals {
		t.counter(metricRefusals, count, reason)
	}
}

// health tells what is known without asking a store. A registry that is not open is only not
// ready.
func (t teller) health(health pool.Health) {
	if health.Fault != nil {
		t.gauge(metricReady, 0)
		return
	}
	t.gauge(metricReady, truth(health.Ready()))
	t.gauge(metricUploads, float64(health.Uploads.Requests))
	t.gauge(metricSessions, float64(health.Uploads.Sessions))
	t.counter(metricPublished, health.Published.Files)
	t.counter(metricPublishedBytes, health.Published.Bytes)
	t.counter(metricKnownBytes, health.Published.Known)
	t.gauge(metricDamaged, float64(health.Damage.Count))
	t.gauge(metricWithheld, float64(health.Sweep.Withheld))
	t.gauge(metricStoredBytes, float64(health.Sweep.Bytes))
	t.gauge(metricStoredBlobs, float64(health.Sweep.Blobs))
	if health.Journaled {
		t.gauge(metricJournal, float64(health.Metadata.Journal.Sequence))
	}
	t.gauge(metricJournalDamage, truth(health.Metadata.Damage != nil))
	t.counter(metricScrubbedBytes, health.Scrub.TotalBytes)
	t.counter(metricScrubbedBlobs, health.Scrub.TotalBlobs)
	t.gauge(metricScrubRunning, truth(health.Scrub.Reading))
	if finished := health.Scrub.Finished; !finished.IsZero() {
		t.gauge(metricScrubFinished, float64(finished.Unix()))
	}
	for _, hook := range health.Webhooks {
		if !hook.Elsewhere {
			t.webhook(hook)
		}
	}
	t.space("metadata", health.Metadata.Space)
	t.space("blobs", health.Blobs.Space)
}

func (t teller) webhook(hook webhook.Health) {
	owner := strings.ToValidUTF8(hook.Owner, "\uFFFD")
	t.counter(metricHookDelivered, int64(hook.Delivered), owner, hook.ID, "taken")
	t.counter(metricHookDelivered, int64(hook.Failed), owner, hook.ID, "failed")
	t.counter(metricHookLost, int64(hook.Lost), owner, hook.ID)
	t.gauge(metricHookBehind, float64(hook.Behind), owner, hook.ID)
	waiting := 0.0
	if !hook.Waiting.IsZero() {
		waiting = time.Since(hook.Waiting).Seconds()
	}
	t.gauge(metricHookWaiting, waiting, owner, hook.ID)
}

// space tells the room of a store. One without a disk has none.
func (t teller) space(id string, space store.Space) {
	if space == (store.Space{}) {
		return
	}
	t.gauge(metricFree, float64(space.Free), id)
	t.gauge(metricReserve, float64(space.Reserve), id)
	if space.ReserveFiles > 0 {
		t.gauge(metricFreeFiles, float64(space.FreeFiles), id)
		t.gauge(metricReserveFiles, float64(space.ReserveFiles), id)
	}
	if space.ReserveDescriptors > 0 {
		t.gauge(metricDescriptors, float64(space.FreeDescriptors), id)
	}
}

// scrapeTime bounds how long a scrape asks the stores of one registry.
const scrapeTime = 2 * time.Second

// content tells what the metadata store counts. A store that does not answer in time is left
// out: its health says more.
func (c collector) content(t teller, health pool.Health) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	_ = c.pool.Use(ctx, health.Key, func(reg *registry.Registry) error {
		metadata := reg.Metadata()
		if measured, ok := metadata.(store.Measured); ok {
			t.measures(measured.Measures())
		}
		for owner, quota := range health.Quotas {
			usage, err := metadata.Usage(ctx, owner)
			if err != nil {
				return err
			}
			t.quota(strings.ToValidUTF8(owner, "\uFFFD"), quota, usage)
		}
		totaled, ok := metadata.(store.Totaled)
		if !ok {
			return nil
		}
		totals, err := totaled.Totals(ctx)
		if err != nil {
			return err
		}
		t.gauge(metricOwners, float64(totals.Owners))
		t.gauge(metricVersions, float64(totals.Versions))
		t.gauge(metricFileBytes, float64(totals.Bytes))
		return nil
	})
}

func (t teller) measures(measures store.Measures) {
	t.gauge(metricCheckpoint, float64(measures.Checkpoint))
	if at := measures.Checkpointed; !at.IsZero() {
		t.gauge(metricCheckpointed, float64(at.Unix()))
	}
	if measures.JournalBytes > 0 {
		t.gauge(metricDatabaseBytes, float64(measures.Bytes))
		t.gauge(metricJournalBytes, float64(measures.JournalBytes))
	}
	classes := make(map[float64]uint64, len(measures.Batches.AtMost))
	for bound, count := range measures.Batches.AtMost {
		classes[bound.Seconds()] = count
	}
	t.to <- prometheus.MustNewConstHistogram(metricCommits, measures.Batches.Count, measures.Batches.Sum.Seconds(), classes, t.root)
}

func (t teller) quota(owner string, quota store.Quota, usage store.Usage) {
	for _, part := range []struct {
		of          string
		limit, used int64
	}{
		{"bytes", quota.Bytes, usage.Bytes},
		{"versions", quota.Versions, usage.Versions},
		{"files", quota.Files, usage.Files},
	} {
		if part.limit > 0 {
			t.gauge(metricUsed, float64(part.used), owner, part.of)
			t.gauge(metricQuota, float64(part.limit), owner, part.of)
		}
	}
}
