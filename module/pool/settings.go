package pool

import (
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// adopt gives the entry the log and the name of a configuration. Requires e.mu.
func (e *entry) adopt(b *Config) {
	e.log.set(b.StoreLog)
	e.named.Store(&b.Root)
}

func (e *entry) latest() *Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.configs) == 0 {
		return nil
	}
	return e.configs[len(e.configs)-1]
}

// takesTokens tells whether a site of a configuration accepts tokens of the registry.
func (e *entry) takesTokens() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.configs, func(b *Config) bool { return b.TakesTokens })
}

// adjust gives a configuration's settings to the open store. Requires e.mu and that
// it is open.
func (e *entry) adjust(b *Config) error {
	open := e.state.Load().registry
	open.SetScrub(b.ScrubRate)
	open.KeepDrafts(b.DraftTTL)
	open.SetRules(b.Rules)
	open.SetHooks(b.Hooks)
	var errs []error
	if adjuster, ok := b.Metadata.(store.MetadataAdjuster); ok {
		errs = append(errs, adjuster.AdjustMetadata(open.Metadata()))
	}
	if adjuster, ok := b.Blobs.(store.BlobAdjuster); ok {
		errs = append(errs, adjuster.AdjustBlobs(open.Blobs()))
	}
	return errors.Join(errs...)
}

// retire takes a configuration's settings away: after a reload that failed later
// on, those of the configuration that serves on count again.
func (e *entry) retire(b *Config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.configs, b)
	if i < 0 {
		return
	}
	last := i == len(e.configs)-1
	e.configs = slices.Delete(e.configs, i, i+1)
	if !last || len(e.configs) == 0 {
		return
	}
	current := e.configs[len(e.configs)-1]
	e.adopt(current)
	if !e.isOpen() {
		return
	}
	if err := e.adjust(current); err != nil {
		current.Log.Error("restoring the store's settings", zap.Error(err))
	}
}

// audit is the log of changes, as the latest configuration has it.
func (e *entry) audit() *zap.Logger {
	if latest := e.latest(); latest != nil && latest.Audit != nil {
		return latest.Audit
	}
	return zap.NewNop()
}
