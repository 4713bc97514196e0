// Package pooltest puts registries in memory into the process's pool for a test.
package pooltest

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// Take takes a registry at a root into use until the end of the test. It is not started.
func Take(t testing.TB, root string, b *memory.Backend) (pool.Key, *pool.Lease) {
	t.Helper()
	config := &pool.Config{Root: root, Metadata: b, Blobs: b, ScrubRate: -1, Log: zap.NewNop(), StoreLog: slog.New(slog.DiscardHandler)}
	lease, err := pool.Registries.Take(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Return)
	return config.Key(), lease
}

// Start is Take, and starts the registry.
func Start(t testing.TB, root string, b *memory.Backend) pool.Key {
	t.Helper()
	key, lease := Take(t, root, b)
	if err := lease.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return key
}

// Use runs a function on the open registry of a key.
func Use(t testing.TB, key pool.Key, do func(*registry.Registry)) {
	t.Helper()
	err := pool.Registries.Use(t.Context(), key, func(reg *registry.Registry) error {
		do(reg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Publish publishes a file.
func Publish(t testing.TB, key pool.Key, name, content string) (file store.File) {
	t.Helper()
	ref := store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: name}
	Use(t, key, func(reg *registry.Registry) {
		var err error
		file, err = reg.Publish(t.Context(), ref, "alice", registry.Content{Body: strings.NewReader(content), Size: -1}, registry.Limits{})
		if err != nil {
			t.Fatal(err)
		}
	})
	return file
}

// Lose takes the bytes of a file away. Nobody has noticed that yet.
func Lose(t testing.TB, key pool.Key, file store.File) {
	t.Helper()
	Use(t, key, func(reg *registry.Registry) {
		if err := reg.Blobs().Delete(t.Context(), file.Locator); err != nil {
			t.Fatal(err)
		}
	})
}

// Damage publishes a file, loses its bytes and reads it, so that the registry knows.
func Damage(t testing.TB, key pool.Key) (damaged store.File) {
	t.Helper()
	damaged = Publish(t, key, "damaged", strings.Repeat("x", 1000))
	Lose(t, key, damaged)
	Use(t, key, func(reg *registry.Registry) {
		if _, _, err := reg.Open(t.Context(), damaged.Ref); !errors.Is(err, store.ErrDamaged) {
			t.Fatalf("reading what is lost: %v, want ErrDamaged", err)
		}
	})
	return damaged
}
