package storetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// isRefusal tells whether a restore said that the backup is not what was written.
func isRefusal(err error) bool {
	return errors.Is(err, store.ErrIncomplete) || errors.Is(err, store.ErrDamaged) ||
		errors.Is(err, store.ErrFormat) || errors.Is(err, store.ErrNotContinued)
}

// boundaries are where the entries of a tar end, each with its padding.
func boundaries(f *backupFixture, stream []byte) (ends []int64) {
	read := &countingReader{reader: bytes.NewReader(stream)}
	archive := tar.NewReader(read)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return ends
		}
		f.noError(err)
		ends = append(ends, (read.count+header.Size+511)/512*512)
	}
}

type countingReader struct {
	reader io.Reader
	count  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.count += int64(n)
	return n, err
}

func backupCut(f *backupFixture) {
	for i := range 12 {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), strings.Repeat(numbered(i), 1+i*i*i*i)))
	}
	full := f.backup(store.Position{})
	f.noError(f.publish(ref("a", "p", "1", "next"), "next"))
	all := f.goOn(full)
	random := rand.New(rand.NewPCG(1, 2))
	for i, stream := range all {
		ends := boundaries(f, stream)
		whole := ends[len(ends)-1]
		cuts := slices.Concat([]int64{0, 1, 511, 512, 513}, ends[:len(ends)-1])
		for range 30 {
			cuts = append(cuts, random.Int64N(whole-512)) // the last block may be padding
		}
		for _, cut := range cuts {
			streams := slices.Concat(all[:i], [][]byte{stream[:cut]})
			at := f.place(f)
			if summary, err := f.restore(at, streams...); !errors.Is(err, store.ErrIncomplete) {
				f.Fatalf("cut after %d of %d bytes: %+v, %v", cut, whole, summary, err)
			}
		}
	}
	f.history(full).want(f.mustRestore(full[:boundaries(f, full)[14]]))
}

// backupFlipped flips bits anywhere in a backup: it is refused, or restores the same.
func backupFlipped(f *backupFixture) {
	for i := range 8 {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), strings.Repeat(numbered(i), 1+i*i*i)))
	}
	f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", numbered(3)), store.Act{User: "a"}))
	stream := f.backup(store.Position{})
	want := f.history(stream)
	random := rand.New(rand.NewPCG(3, 4))
	var refused int
	for range 60 {
		damaged := bytes.Clone(stream)
		bit := random.IntN(8 * len(damaged))
		damaged[bit/8] ^= 1 << (bit % 8)
		at := f.place(f)
		_, err := f.restore(at, damaged)
		if err == nil {
			restored := newPairFixtureAt(f, at)
			want.want(restored)
			continue
		}
		refused++
		if !isRefusal(err) {
			f.Fatalf("bit %d of byte %d flipped: %v", bit%8, bit/8, err)
		}
	}
	if refused == 0 {
		f.Error("no flipped bit was found")
	}
}

// spoil puts other bytes of the same size in the place of a file's, or takes them
// away.
func (f *backupFixture) spoil(r store.Ref, replace bool) store.File {
	f.Helper()
	file, err := f.Lookup(context.Background(), r)
	f.noError(err)
	f.noError(f.blobs.Delete(context.Background(), file.Locator))
	if !replace {
		return file
	}
	w, err := f.blobs.CreateAt(context.Background(), file.Locator, file.Size)
	f.noError(err)
	content := pattern(int(file.Size))
	content[len(content)-1] ^= 1
	_, err = w.Write(content)
	f.noError(err)
	_, err = w.Commit(context.Background())
	f.noError(err)
	return file
}

// damage publishes files of three sizes and spoils them. A small one with a line
// that names it again stands for what several files share.
func (f *backupFixture) damage(replace bool) (sound store.Ref, damaged []store.File) {
	f.Helper()
	sound = ref("a", "p", "1", "sound")
	f.noError(f.publish(sound, "sound"))
	for i, size := range []int{100, 100_000, 1_000_000} {
		r := ref("a", "p", "1", numbered(i))
		f.noError(f.publish(r, string(pattern(size))))
		f.noError(f.publish(ref("a", "p", "2", numbered(i)), string(pattern(size))))
		damaged = append(damaged, f.spoil(r, replace))
	}
	return sound, damaged
}

func backupDamaged(f *backupFixture) {
	for _, size := range []int{100, 100_000, 1_000_000} {
		for _, replace := range []bool{true, false} {
			f.noError(f.publish(ref("a", "p", "1", "f"), string(pattern(size))))
			f.spoil(ref("a", "p", "1", "f"), replace)
			var stream bytes.Buffer
			if _, err := backup.Make(context.Background(), f.Registry, backup.Options{}, &stream); !errors.Is(err, store.ErrDamaged) {
				f.Errorf("backup of %d bytes that are damaged (replaced: %v): %v", size, replace, err)
			}
			_, err := f.restore(f.place(f), stream.Bytes())
			if !errors.Is(err, store.ErrIncomplete) && !errors.Is(err, store.ErrDamaged) {
				f.Errorf("restore: %v", err)
			}
			f.noError(f.DeleteFile(context.Background(), ref("a", "p", "1", "f"), store.Act{User: "a"}))
		}
	}
	f.noError(f.publish(ref("a", "p", "1", "sound"), "sound"))
	f.backup(store.Position{})
}

func backupSkipsDamaged(f *backupFixture) {
	for _, replace := range []bool{true, false} {
		f := newBackupFixture(f, f.place)
		sound, damaged := f.damage(replace)
		var stream bytes.Buffer
		made, err := backup.Make(context.Background(), f.Registry, backup.Options{SkipDamaged: true}, &stream)
		f.noError(err)
		if len(made.Damaged) != len(damaged) || made.End.Damaged != int64(len(damaged)) {
			f.Errorf("damaged are %+v, want %d", made.Damaged, len(damaged))
		}
		at := f.place(f)
		summary, err := f.restore(at, stream.Bytes())
		f.noError(err)
		for _, file := range damaged {
			if !slices.ContainsFunc(summary.Missing, func(d backup.DamagedBlob) bool {
				return d.Digest == file.Digest && d.Size == file.Size && d.Problem != ""
			}) {
				f.Errorf("%v is not among the missing: %+v", file.Ref, summary.Missing)
			}
		}
		restored := newPairFixtureAt(f, at)
		// Known before anybody reads. Seen to fail where a restore only returned what is missing.
		count, _, err := restored.metadata.Damaged(context.Background(), 1)
		f.noError(err)
		if count != int64(len(damaged)) {
			f.Errorf("the restored metadata knows %d damaged blobs, want %d", count, len(damaged))
		}
		restored.wantContent(sound, "sound")
		for _, file := range damaged {
			_, err := restored.read(file.Ref)
			f.wantError(err, store.ErrDamaged)
			// Publishing them again heals them there too.
			f.noError(restored.publish(ref("a", "p", "3", file.File), string(pattern(int(file.Size)))))
			restored.wantContent(file.Ref, string(pattern(int(file.Size))))
		}
	}
}

// backupHalfRestored: what a cut restore leaves is no other registry's, and the
// restore of the whole one goes on there.
func backupHalfRestored(f *backupFixture) {
	for i := range 10 {
		f.noError(f.publish(ref("a", "p", "1", numbered(i)), numbered(i)))
	}
	stream := f.backup(store.Position{})
	ends := boundaries(f, stream)
	at := f.place(f)
	_, err := f.restore(at, stream[:ends[6]])
	f.wantError(err, store.ErrIncomplete)

	blobs, err := at.Blobs.OpenBlobs(context.Background(), at.Root, quietLog)
	f.noError(err)
	f.wantError(blobs.Bind(context.Background(), "of a server that was started there"), store.ErrMismatch)
	f.noError(blobs.Close())

	_, err = f.restore(at, stream)
	f.noError(err)
	_, err = f.restore(at, stream)
	f.wantError(err, store.ErrFormat)
	restored := newPairFixtureAt(f, at)
	f.history(stream).want(restored)
	if nodes, ok := restored.metadata.(store.Nodes); ok {
		_, _, err = nodes.Meet(context.Background(), "node", "rules")
		f.noError(err)
	}
	_, err = f.restore(at, stream)
	f.wantError(err, store.ErrLocked)
}
