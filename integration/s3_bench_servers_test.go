//go:build servers

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// BenchmarkS3 compares the registry with the server behind it, which is asked through the same
// library, and with the same Caddy's reverse_proxy in front of that server, which is asked by
// signed URLs. Each round asks all, one after the other. Large files are 1 GiB in the long run.
func BenchmarkS3(b *testing.B) {
	s3 := servers.StartS3(b)
	s := newS3Server(b)
	proxy := freePort(b)
	s.start(s.site(onS3(s3, "timeout 1m")) +
		fmt.Sprintf("http://127.0.0.1:%d {\n\treverse_proxy %s {\n\t\theader_up Host %[2]s\n\t}\n}\n", proxy, s3.Address))
	client, err := minio.New(s3.Address, &minio.Options{Creds: credentials.NewStaticV4(servers.Key, servers.Secret, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		b.Fatal(err)
	}
	small := pattern(1, 4<<10)
	large := make([]byte, 64<<20)
	if isLong() {
		large = make([]byte, 1<<30)
	}
	ctx := context.Background()
	put := func(key string, content []byte) error {
		_, err := client.PutObject(ctx, servers.Bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{DisableMultipart: true})
		return err
	}
	get := func(key string) error {
		core := minio.Core{Client: client}
		body, _, _, err := core.GetObject(ctx, servers.Bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(io.Discard, body)
		return err
	}
	path := func(name any) string { return filePath("alice", "bench", "1", fmt.Sprint(name)) }
	publish := func(name any) error {
		got, err := s.try(http.MethodPut, path(name), "alice", bytes.NewReader(small))
		if err == nil && got.status != http.StatusCreated {
			err = fmt.Errorf("%d %s", got.status, got.text())
		}
		return err
	}
	send := func(method, url string, content io.Reader) error {
		request, err := http.NewRequest(method, url, content)
		if err != nil {
			return err
		}
		response, err := s.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	fetch := func(name string) error {
		return send(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path(name)), nil)
	}
	proxied := func(method, key string, content io.Reader) error {
		signed, err := client.Presign(ctx, method, servers.Bucket, key, time.Hour, nil)
		if err != nil {
			return err
		}
		signed.Host = fmt.Sprint("127.0.0.1:", proxy)
		return send(method, signed.String(), content)
	}
	s.put(path("small"), small)
	s.put(path("large"), large)
	if err := put("direct/small", small); err != nil {
		b.Fatal(err)
	}
	if err := put("direct/large", large); err != nil {
		b.Fatal(err)
	}
	var names atomic.Int64
	for _, one := range []struct {
		name                string
		clients, requests   int // of a round
		s3, proxy, registry func() error
	}{
		{"publish 4 KiB", 8, 400,
			func() error { return put(fmt.Sprint("direct/", names.Add(1)), small) },
			func() error {
				return proxied(http.MethodPut, fmt.Sprint("direct/", names.Add(1)), bytes.NewReader(small))
			},
			func() error { return publish(names.Add(1)) }},
		{"GET 4 KiB", 8, 2000, func() error { return get("direct/small") }, func() error { return proxied(http.MethodGet, "direct/small", nil) }, func() error { return fetch("small") }},
		{"GET large", 1, 1, func() error { return get("direct/large") }, func() error { return proxied(http.MethodGet, "direct/large", nil) }, func() error { return fetch("large") }},
	} {
		b.Run(one.name, func(b *testing.B) {
			var took [3]time.Duration
			for b.Loop() {
				for side, call := range []func() error{one.s3, one.proxy, one.registry} {
					began := time.Now()
					if err := repeat(one.clients, one.requests, call); err != nil {
						b.Fatal(err)
					}
					took[side] += time.Since(began)
				}
			}
			requests := float64(b.N * one.requests)
			b.ReportMetric(0, "ns/op") // of a round, which says nothing
			b.ReportMetric(requests/took[0].Seconds(), "S3/s")
			b.ReportMetric(requests/took[1].Seconds(), "proxy/s")
			b.ReportMetric(requests/took[2].Seconds(), "registry/s")
			b.ReportMetric(took[0].Seconds()/took[2].Seconds(), "×S3")
			b.ReportMetric(took[1].Seconds()/took[2].Seconds(), "×proxy")
		})
	}
}

// repeat makes so many calls, by clients that are at work at once.
func repeat(clients, calls int, call func() error) error {
	var left atomic.Int64
	left.Store(int64(calls))
	errs := make([]error, clients)
	var done sync.WaitGroup
	for i := range clients {
		done.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = call()
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}
