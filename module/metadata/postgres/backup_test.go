//go:build servers

package postgres

import (
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/filesystem"
	"github.com/generic-registry/caddy-generic-registry/module/storetest"
)

func backupPlace(t testing.TB) storetest.JournaledPlace {
	return storetest.JournaledPlace{Root: t.TempDir(), Metadata: newBackend(t), Blobs: &filesystem.Backend{Reserve: 1 << 20}}
}

func TestBackupOfPostgresAndFiles(t *testing.T) { storetest.Backup(t, backupPlace) }

func TestPostgresTellsAllThatItHas(t *testing.T) {
	storetest.Told(t, backupPlace)
	storetest.Importing(t, backupPlace)
}
