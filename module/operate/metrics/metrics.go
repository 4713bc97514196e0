// Package metrics tells the health of the process's registries to Prometheus. It reads
// values that the registries count; no other room imports it.
package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

// prefix begins the names of all metrics.
const prefix = "caddy_generic_registry_"

// Labels have the roots and the owners of the configuration, the two halves of a registry,
// and words of which there is a fixed number; never anything of a request.
const (
	labelRoot      = "root"
	labelStore     = "store"
	labelOwner     = "owner"
	labelOf        = "of"
	labelOperation = "operation"
	labelStatus    = "status"
	labelReason    = "reason"
	labelWebhook   = "webhook"
	labelResult    = "result"
)

var all []*prometheus.Desc

func metric(name, help string, labels ...string) *prometheus.Desc {
	desc := prometheus.NewDesc(prefix+name, help, append([]string{labelRoot}, labels...), nil)
	all = append(all, desc)
	return desc
}

var (
	metricRequests = metric("requests_total", "Requests that were answered.", labelOperation, labelStatus)
	metricRefusals = metric("refusals_total", "Requests that were refused.", labelReason)
	metricReceived = metric("received_bytes_total", "Bytes of the bodies of requests.")
	metricSent     = metric("sent_bytes_total", "Bytes of the bodies of answers.")

	metricReady          = metric("ready", "Whether the registry takes changes: 1, or 0.")
	metricUploads        = metric("uploads", "Requests whose uploads are in progress.")
	metricSessions       = metric("resumable_uploads", "Resumable uploads that are begun and not finished.")
	metricPublished      = metric("published_files_total", "Files published since the registry was opened.")
	metricPublishedBytes = metric("published_bytes_total", "Bytes of the files published since the registry was opened.")
	metricKnownBytes     = metric("deduplicated_bytes_total", "Bytes published since the registry was opened whose content was stored already.")
	metricDamaged        = metric("damaged_blobs", "Blobs that are known to be damaged.")
	metricWithheld       = metric("withheld_blobs", "Blobs that no file refers to, and that wait for an administrator because they are unusually many.")
	metricScrubbedBytes  = metric("scrubbed_bytes_total", "Bytes read to compare blobs with their digests.")
	metricScrubbedBlobs  = metric("scrubbed_blobs_total", "Blobs read to compare them with their digests.")
	metricScrubRunning   = metric("scrub_running", "Whether blobs are being read to compare them: 1, or 0.")
	metricScrubFinished  = metric("scrub_finished_seconds", "When the last pass over all blobs ended, in seconds since 1970.")
	metricJournal        = metric("journal_sequence", "Number of the last change in the journal.")
	metricCheckpoint     = metric("checkpoint_sequence", "Number of the last change that a checkpoint of the journal stands for.")
	metricCheckpointed   = metric("checkpoint_seconds", "When the newest checkpoint of the journal was made, in seconds since 1970.")
	metricDatabaseBytes  = metric("database_bytes", "Bytes of the files of the metadata's database.")
	metricJournalBytes   = metric("journal_bytes", "Bytes of the files of the journal and its checkpoints.")
	metricStoredBytes    = metric("stored_bytes", "Bytes of all blobs that are stored, as of the last sweep.")
	metricStoredBlobs    = metric("stored_blobs", "Blobs that are stored, as of the last sweep.")
	metricJournalDamage  = metric("journal_damaged", "Whether the journal is known to be damaged: 1, or 0.")
	metricCommits        = metric("commit_seconds", "Time that changes took to become durable, those together that came at one moment.")
	metricFree           = metric("free_bytes", "Bytes free on the disk of a store.", labelStore)
	metricFreeFiles      = metric("free_files", "Files (inodes) that the disk of a store still takes, where the disk limits them.", labelStore)
	metricReserveFiles   = metric("reserve_files", "Files (inodes) that are to stay free on the disk of a store, where the disk limits them.", labelStore)
	metricDescriptors    = metric("free_descriptors", "Files that the process may still open, where that is known.", labelStore)
	metricReserve        = metric("reserve_bytes", "Bytes that are to stay free on the disk of a store.", labelStore)

	metricHookDelivered = metric("webhook_deliveries_total", "Requests of webhooks since the registry was opened, by whether the receiver took them.", labelOwner, labelWebhook, labelResult)
	metricHookLost      = metric("webhook_lost_total", "Changes that a webhook does not tell of, because its receiver did not take them in time.", labelOwner, labelWebhook)
	metricHookBehind    = metric("webhook_behind", "Changes of the registry that a webhook has not come to.", labelOwner, labelWebhook)
	metricHookWaiting   = metric("webhook_waiting_seconds", "How long ago the change was made that a webhook is delivering. 0 when there is none.", labelOwner, labelWebhook)

	metricOwners    = metric("owners", "Owners that have a file.")
	metricVersions  = metric("versions", "Versions that there are.")
	metricFileBytes = metric("file_bytes", "Bytes of all files, equal contents as often as they were published.")
	metricUsed      = metric("quota_used", "What an owner with a rule of its own has of what its quota limits.", labelOwner, labelOf)
	metricQuota     = metric("quota_limit", "What an owner with a rule of its own may have.", labelOwner, labelOf)
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

var _ prometheus.Collector = allStores
