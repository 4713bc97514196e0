// Package metrics gives the health of the process's registries to Prometheus. It reads
// values that the registries count; no other package imports it.
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

	metricReady          = metric("ready", "1 when files can be published and deleted, else 0.")
	metricUploads        = metric("uploads", "Requests whose uploads are in progress.")
	metricSessions       = metric("resumable_uploads", "Resumable uploads that are begun and not finished.")
	metricPublished      = metric("published_files_total", "Files published since the registry was opened.")
	metricPublishedBytes = metric("published_bytes_total", "Bytes of the files published since the registry was opened.")
	metricKnownBytes     = metric("deduplicated_bytes_total", "Published bytes, since the registry was opened, whose content was stored already.")
	metricDamaged        = metric("damaged_blobs", "Blobs that are known to be damaged.")
	metricWithheld       = metric("withheld_blobs", "Blobs that no file refers to, and that are so many that an administrator has to confirm their deletion.")
	metricScrubbedBytes  = metric("scrubbed_bytes_total", "Bytes read to compare blobs with their digests.")
	metricScrubbedBlobs  = metric("scrubbed_blobs_total", "Blobs read to compare them with their digests.")
	metricScrubRunning   = metric("scrub_running", "1 while the scrub reads blobs, else 0.")
	metricScrubFinished  = metric("scrub_finished_seconds", "When the last scrub of all blobs ended, in seconds since 1970.")
	metricJournal        = metric("journal_sequence", "Number of the last change in the journal.")
	metricCheckpoint     = metric("checkpoint_sequence", "Number of the last change that a checkpoint of the journal contains.")
	metricCheckpointed   = metric("checkpoint_seconds", "When the newest checkpoint of the journal was made, in seconds since 1970.")
	metricDatabaseBytes  = metric("database_bytes", "Bytes of the files of the metadata's database.")
	metricJournalBytes   = metric("journal_bytes", "Bytes of the files of the journal and its checkpoints.")
	metricStoredBytes    = metric("stored_bytes", "Bytes of all blobs that are stored, as of the last sweep.")
	metricStoredBlobs    = metric("stored_blobs", "Blobs that are stored, as of the last sweep.")
	metricJournalDamage  = metric("journal_damaged", "1 while the journal is known to be damaged, else 0.")
	metricCommits        = metric("commit_seconds", "Time in which a batch of changes became durable.")
	metricFree           = metric("free_bytes", "Bytes free on the disk of a store.", labelStore)
	metricFreeFiles      = metric("free_files", "Free inodes on the disk of a store, where the disk limits them.", labelStore)
	metricReserveFiles   = metric("reserve_files", "Inodes that stay free on the disk of a store, where the disk limits them.", labelStore)
	metricDescriptors    = metric("free_descriptors", "File descriptors that the process may still open, where this is known.", labelStore)
	metricReserve        = metric("reserve_bytes", "Bytes that stay free on the disk of a store.", labelStore)

	metricHookDelivered = metric("webhook_deliveries_total", "Requests of webhooks since the registry was opened, by result.", labelOwner, labelWebhook, labelResult)
	metricHookLost      = metric("webhook_lost_total", "Changes that a webhook gave up because its receiver did not take them in time.", labelOwner, labelWebhook)
	metricHookBehind    = metric("webhook_behind", "Changes of the registry that a webhook has not sent yet.", labelOwner, labelWebhook)
	metricHookWaiting   = metric("webhook_waiting_seconds", "Age of the change that a webhook is sending, in seconds. 0 when there is none.", labelOwner, labelWebhook)

	metricOwners    = metric("owners", "Number of owners with files.")
	metricVersions  = metric("versions", "Number of versions.")
	metricFileBytes = metric("file_bytes", "Bytes of all files, equal contents as often as they were published.")
	metricUsed      = metric("quota_used", "How much an owner with a rule of its own uses, by what the quota limits.", labelOwner, labelOf)
	metricQuota     = metric("quota_limit", "The quota of an owner with a rule of its own, by what it limits.", labelOwner, labelOf)
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
