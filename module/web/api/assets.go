package api

import (
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/gitea"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/computed"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// sidecar is the hash that is known of every file: one that has still to be computed is
// not told as if it were there.
const sidecar computed.Hash = "sha256"

// assets writes the files of a release, and what the site computes of them: programs look
// for checksums among the assets. A file that was published under such a name stands alone.
type assets struct {
	options *Options
	shape   *shaper
	out     *stream
	version store.VersionInfo

	begun bool
	// hashed are files whose sidecar comes later in the order of the names. Each of their
	// names begins with the one before it, so that they are few.
	hashed []store.File
	sums   int64 // the size of the list of checksums
	tar    int64 // the size of the archive
	tarred string
	taken  []string // those of the names that are computed at the end that files have
}

func newAssets(options *Options, shape *shaper, out *stream, version store.VersionInfo) *assets {
	return &assets{options: options, shape: shape, out: out, version: version, tar: computed.TarEnd, tarred: computed.ArchiveName(version, computed.Tar)}
}

// add adds the next file in the order of their names.
func (a *assets) add(file store.File) error {
	name := store.Fold(file.File)
	for len(a.hashed) > 0 {
		last := a.hashed[len(a.hashed)-1]
		at := store.Fold(sidecarOf(last))
		if at > name {
			break
		}
		a.hashed = a.hashed[:len(a.hashed)-1]
		if at == name {
			break // it is published
		}
		if err := a.addSidecar(last); err != nil {
			return err
		}
	}
	if slices.Contains(a.options.Hashes, sidecar) {
		a.hashed = append(a.hashed, file)
	}
	if name == store.Fold(a.options.Sums) || name == store.Fold(a.tarred) {
		a.taken = append(a.taken, name)
	}
	a.sums += computed.SumSize(file.File)
	size, err := computed.TarSize(file)
	if err != nil {
		return err
	}
	a.tar += size
	return a.put(file.File, file.Size, file)
}

// end adds what comes after the last file.
func (a *assets) end() error {
	for _, file := range slices.Backward(a.hashed) {
		if err := a.addSidecar(file); err != nil {
			return err
		}
	}
	whole := store.File{Created: a.version.Created}
	if a.options.Sums != "" && !slices.Contains(a.taken, store.Fold(a.options.Sums)) {
		if err := a.put(a.options.Sums, a.sums, whole); err != nil {
			return err
		}
	}
	if !a.options.Archives || slices.Contains(a.taken, store.Fold(a.tarred)) {
		return nil
	}
	return a.write(assetBody{
		Name: a.tarred, Size: a.tar, CreatedAt: gitea.Time(a.version.Created), UUID: uuidOf(a.version.VersionRef, "", computed.Tar),
		BrowserDownloadURL: a.shape.archive(a.version, computed.Tar),
	})
}

func sidecarOf(file store.File) string { return file.File + "." + string(sidecar) }

func (a *assets) addSidecar(file store.File) error {
	return a.put(sidecarOf(file), computed.SumSize(file.File), store.File{Created: file.Created})
}

// put writes what is at the path of a file.
func (a *assets) put(name string, size int64, file store.File) error {
	of := a.version
	return a.write(assetBody{
		ID: file.ID, Name: name, Size: size, DownloadCount: file.Downloads, CreatedAt: gitea.Time(file.Created), UUID: uuidOf(of.VersionRef, name, ""),
		BrowserDownloadURL: a.shape.visit.URL(of.Owner, visit.PackageType, of.Package, of.Version, name),
	})
}

func (a *assets) write(body assetBody) error {
	if a.begun {
		a.out.body.WriteByte(',')
	}
	a.begun = true
	return a.out.put(body)
}

// archiveQuery is the query that asks for an archive of a version.
func archiveQuery(form computed.Archive) string { return "?archive=" + string(form) }

func (s *shaper) archive(of store.VersionInfo, form computed.Archive) string {
	return s.visit.URL(of.Owner, visit.PackageType, of.Package, of.Version) + archiveQuery(form)
}
