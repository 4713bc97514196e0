// Package metrics tells the health of the process's registries to Prometheus. It reads
// values that the registries count; no other room imports it.
package metrics

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// prefix begins the names of all metrics.
const prefix = "caddy_generic_registry_"

// Labels have the roots of the configuration and the two halves of a registry, never
// anything of a request.
const (
	labelRoot  = "root"
	labelStore = "store"
)

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, append([]string{labelRoot}, labels...), nil)
}

var (
	metricReady         = metric("ready", "Whether the registry takes changes: 1, or 0.")
	metricDamaged       = metric("damaged_blobs", "Blobs that are known to be damaged.")
	metricScrubbedBytes = metric("scrubbed_bytes_total", "Bytes read to compare blobs with their digests.")
	metricScrubbedBlobs = metric("scrubbed_blobs_total", "Blobs read to compare them with their digests.")
	metricJournal       = metric("journal_sequence", "Number of the last change in the journal.")
	metricJournalDamage = metric("journal_damaged", "Whether the journal is known to be damaged: 1, or 0.")
	metricFree          = metric("free_bytes", "Bytes free on the disk of a store.", labelStore)
	metricFreeFiles     = metric("free_files", "Files (inodes) that the disk of a store still takes, where the disk limits them.", labelStore)
	metricDescriptors   = metric("free_descriptors", "Files that the process may still open, where that is known.", labelStore)
	metricReserve       = metric("reserve_bytes", "Bytes that are to stay free on the disk of a store.", labelStore)

	all = []*prometheus.Desc{
		metricReady, metricDamaged, metricScrubbedBytes, metricScrubbedBlobs, metricJournal, metricJournalDamage, metricFree, metricFreeFiles, metricDescriptors, metricReserve,
	}
)

// collector tells the health of the registries in a pool as metrics. It outlives
// configurations, as the pool does; each has a registry of metrics of its own.
type collector struct{ pool *pool.Pool }

var allStores = collector{pool.Registries}

// Register adds the metrics to those of a configuration.
func Register(to *prometheus.Registry) error {
	err := to.Register(allStores)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range all {
		to <- desc
	}
}

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
		collect(to, health, label)
	}
}

// collect tells the metrics of one registry. One that is not open is only not ready.
func collect(to chan<- prometheus.Metric, health pool.Health, root string) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{root}, labels...)...)
	}
	counter := func(desc *prometheus.Desc, value int64) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), root)
	}
	if health.Fault != nil {
		gauge(metricReady, 0)
		return
	}
	ready := 0.0
	if health.Ready() {
		ready = 1
	}
	gauge(metricReady, ready)
	gauge(metricDamaged, float64(health.Damage.Count))
	gauge(metricJournal, float64(health.Metadata.Journal.Sequence))
	damaged := 0.0
	if health.Metadata.Damage != nil {
		damaged = 1
	}
	gauge(metricJournalDamage, damaged)
	counter(metricScrubbedBytes, health.Scrub.TotalBytes)
	counter(metricScrubbedBlobs, health.Scrub.TotalBlobs)
	for id, space := range map[string]store.Space{"metadata": health.Metadata.Space, "blobs": health.Blobs.Space} {
		if space == (store.Space{}) {
			continue // it has no disk
		}
		gauge(metricFree, float64(space.Free), id)
		gauge(metricReserve, float64(space.Reserve), id)
		if space.ReserveFiles > 0 {
			gauge(metricFreeFiles, float64(space.FreeFiles), id)
		}
		if space.ReserveDescriptors > 0 {
			gauge(metricDescriptors, float64(space.FreeDescriptors), id)
		}
	}
}

var _ prometheus.Collector = allStores
