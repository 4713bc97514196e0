package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	semantic "github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// cpu is what this process has used, background work of the store too.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// eachTime runs something b.N times, and reports the CPU that it takes: other processes
// change it little.
func eachTime(b *testing.B, run func() error) {
	b.Helper()
	before := cpu(b)
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// fillPackages publishes files: of 1,000 packages of one owner, each version with 10 files.
func fillPackages(b *testing.B, s *Store, files int) {
	b.Helper()
	const packages, perVersion, workers = 1_000, 10, 64
	done := make(chan error)
	for worker := range workers {
		go func() {
			var failed error
			for i := worker; i < files && failed == nil; i += workers {
				version := i / perVersion
				p := publicationOf(store.Ref{VersionRef: store.VersionRef{
					Owner: "o", Package: fmt.Sprintf("package-%d", version%packages), Version: fmt.Sprintf("1.%d.0", version/packages),
				}, File: fmt.Sprint(i % perVersion)}, byte(i), byte(i>>8), byte(i>>16))
				p.Created, p.Rank = time.Unix(int64(version), 0), semantic.Rank(p.Ref.Version)
				_, _, failed = s.Publish(context.Background(), p)
			}
			done <- failed
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	if err := s.awaitPersisted(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVersions reads pages of 50 versions of an owner of 1,000 packages, whose
// versions have 10 files each.
func BenchmarkVersions(b *testing.B) {
	files := 20_000
	if os.Getenv(long) != "" {
		files = 1_000_000
	}
	s := mustOpen(b, b.TempDir())
	defer mustClose(b, s)
	fillPackages(b, s, files)
	odd := store.Selection{Select: func(_, pkg string) bool { return pkg[len(pkg)-1]%2 == 1 }}
	for _, test := range []struct {
		name  string
		query store.VersionQuery
	}{
		{"owner", store.VersionQuery{}},
		{"package", store.VersionQuery{Package: "package-7"}},
		{"owner by a selection", store.VersionQuery{Selection: odd}},
		{"q of one package", store.VersionQuery{Search: "package-777"}},
		{"q of 19 packages", store.VersionQuery{Search: "-77"}},
		{"q of all", store.VersionQuery{Search: "pack"}},
		{"q of none", store.VersionQuery{Search: "none"}},
		{"owner, page 20", store.VersionQuery{Skip: 950}},
	} {
		test.query.Owner, test.query.Limit, test.query.Total = "o", 50, true
		b.Run(fmt.Sprintf("files=%d/%s", files, test.name), func(b *testing.B) {
			eachTime(b, func() error {
				_, err := s.Versions(context.Background(), test.query)
				return err
			})
		})
	}
}

// BenchmarkLatest finds a file of the latest of 100,000 versions of one package, half of
// them pre-releases above it, and of the version by its name.
func BenchmarkLatest(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	r := registry.New(s, mustOpenBlobs(b), registry.Options{Idle: true})
	defer func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	}()
	fillVersionsOf(b, s, 100_000)
	ctx, exact := context.Background(), store.VersionRef{Owner: "o", Package: "p", Version: "1.0.49999"}
	b.Run("exact", func(b *testing.B) {
		eachTime(b, func() error {
			_, err := r.Lookup(ctx, store.Ref{VersionRef: exact, File: "f"})
			return err
		})
	})
	b.Run("latest", func(b *testing.B) {
		asked := store.VersionRef{Owner: "o", Package: "p", Version: "latest"}
		eachTime(b, func() error {
			chosen, err := r.Select(ctx, asked)
			if err == nil && chosen != exact {
				err = fmt.Errorf("latest is %s, want %s", chosen.Version, exact.Version)
			}
			if err == nil {
				_, err = r.Lookup(ctx, store.Ref{VersionRef: chosen, File: "f"})
			}
			return err
		})
	})
	for wanted, highest := range map[string]string{"^1.0": "1.0.49999", "<1.0.100": "1.0.99", "^2.0.0-0": "2.0.0-nightly.49999", "^0.9": ""} {
		b.Run("range="+wanted, func(b *testing.B) {
			eachTime(b, func() error {
				chosen, err := r.Select(ctx, store.VersionRef{Owner: "o", Package: "p", Version: wanted})
				if highest == "" && errors.Is(err, store.ErrPackageNotFound) {
					return nil
				}
				if err == nil && chosen.Version != highest {
					err = fmt.Errorf("it is %s, want %s", chosen.Version, highest)
				}
				return err
			})
		})
	}
}

func fillVersionsOf(b *testing.B, s *Store, count int) {
	b.Helper()
	const workers = 64
	done := make(chan error)
	for worker := range workers {
		go func() {
			var failed error
			for i := worker; i < count && failed == nil; i += workers {
				version := fmt.Sprintf("1.0.%d", i/2)
				if i%2 == 1 {
					version = fmt.Sprintf("2.0.0-nightly.%d", i/2)
				}
				p := publicationOf(store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: version}, File: "f"}, byte(i), byte(i>>8), byte(i>>16))
				p.Created, p.Rank = time.Unix(int64(i), 0), semantic.Rank(version)
				_, _, failed = s.Publish(context.Background(), p)
			}
			done <- failed
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// fillDraft publishes files into a draft.
func fillDraft(b *testing.B, s *Store, version string, files int) (store.VersionRef, map[string]store.Digest) {
	b.Helper()
	expected := make(map[string]store.Digest, files)
	ref := store.VersionRef{Owner: "o", Package: "p", Version: version}
	const workers = 64
	done := make(chan error)
	for i := range files {
		p := publicationOf(store.Ref{VersionRef: ref, File: fmt.Sprintf("file-%d.bin", i)}, byte(i), byte(i>>8))
		expected[p.Ref.File] = p.Digest
	}
	for worker := range workers {
		go func() {
			var failed error
			for i := worker; i < files && failed == nil; i += workers {
				p := publicationOf(store.Ref{VersionRef: ref, File: fmt.Sprintf("file-%d.bin", i)}, byte(i), byte(i>>8))
				p.Draft = true
				_, _, failed = s.Publish(context.Background(), p)
			}
			done <- failed
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	return ref, expected
}

// BenchmarkPublishDraft publishes a draft of 1,000 files, compared with what is expected.
func BenchmarkPublishDraft(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	defer mustClose(b, s)
	var used time.Duration
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		ref, expected := fillDraft(b, s, fmt.Sprint(i), 1_000)
		before := cpu(b)
		b.StartTimer()
		if _, err := s.PublishDraft(context.Background(), ref, expected, testAct); err != nil {
			b.Fatal(err)
		}
		used += cpu(b) - before
	}
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

// BenchmarkFiles reads all of a version with 50,000 files, in pages.
func BenchmarkFiles(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	defer mustClose(b, s)
	ref, _ := fillDraft(b, s, "1", 50_000)
	b.ReportAllocs()
	eachTime(b, func() error {
		query, read := store.FileQuery{VersionRef: ref, Draft: true, Limit: 1_000}, 0
		for {
			page, err := s.Files(context.Background(), query)
			if err != nil {
				return err
			}
			read += len(page.Files)
			if query.After = page.Next; page.Next == "" {
				break
			}
		}
		if read != 50_000 {
			return fmt.Errorf("%d files", read)
		}
		return nil
	})
}
