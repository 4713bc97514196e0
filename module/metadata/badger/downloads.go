package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// downloadWeight is how many records a download writes.
const downloadWeight = 2

// AddDownloads implements store.MetadataStore.
func (s *Store) AddDownloads(ctx context.Context, all []store.Download) error {
	if len(all) > store.MaxDownloads {
		return fmt.Errorf("counting downloads of %d files at once", len(all))
	}
	lost, err := ask(ctx, s, downloadWeight*len(all), func(b *batch) (lost []error, err error) {
		for _, d := range all {
			err := b.addDownloads(d.Ref, func(version *versionRecord, file *fileRecord) {
				if file.id == uint64(d.ID) && !version.draft {
					version.downloads.add(d)
					file.downloads.add(d)
				}
			})
			if errors.Is(err, store.ErrDamaged) {
				lost = append(lost, err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		return lost, nil
	})
	if err != nil {
		return fmt.Errorf("counting downloads: %w", err)
	}
	if len(lost) > 0 {
		s.log.Error("downloads of files whose records are damaged are not counted", slog.Int("files", len(lost)), slog.Any("error", lost[0]))
	}
	return nil
}

// addDownloads changes what is counted for a file, if it is there.
func (b *batch) addDownloads(ref store.Ref, change func(*versionRecord, *fileRecord)) error {
	k, err := b.known(ref.VersionRef)
	if err != nil || !k.exists {
		return err
	}
	key := fileKey(k.version.id, ref.File)
	var file fileRecord
	if found, err := b.get(key, &file); err != nil || !found {
		return err
	}
	wasVersion, wasFile := k.version.downloads, file.downloads
	change(&k.version, &file)
	if k.version.downloads != wasVersion {
		b.put(k.key, &k.version)
	}
	if file.downloads != wasFile {
		b.put(key, &file)
	}
	return nil
}

func (d *downloads) add(more store.Download) {
	d.count += uint64(max(0, more.Count))
	if more.Last.After(d.last) {
		d.last = more.Last.UTC()
	}
}
