//go:build servers

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/servers"
)

// stopping is the size of a file whose publish stops its process between its bytes and its
// name.
const stopping = 4242

// TestSeveralNodes on one PostgreSQL server and one bucket. What is old is so after seconds, and
// swept every second: publishes meet sweeps all the time.
func TestSeveralNodes(t *testing.T) {
	t.Parallel()
	binary := mutant(t,
		edit{"module/store/stores.go", "SweepAfter = 24 * time.Hour", "SweepAfter = 16 * time.Second"},
		edit{"module/registry/registry.go", "defaultSweepInterval = time.Hour", "defaultSweepInterval = time.Second"},
		edit{"module/blobs/s3/clean.go", "cleanInterval = time.Hour", "cleanInterval = time.Second"},
		edit{"module/registry/publish.go", "\t\"io\"\n", "\t\"io\"\n\t\"syscall\"\n"},
		edit{"module/registry/publish.go", "\tcounted.End() // the store counts it", fmt.Sprintf(
			"\tif blob.Size == %d {\n\t\t_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)\n\t\ttime.Sleep(time.Second) // in which it stops\n\t}\n\tcounted.End() // the store counts it", stopping)})
	t.Run("one that is stopped between bytes and name", func(t *testing.T) { t.Parallel(); newCluster(t, binary, 2, everything...).stopped() })
	t.Run("one that is killed during an upload", func(t *testing.T) { t.Parallel(); newCluster(t, binary, 2, everything...).resumes() })
	t.Run("with other rules", func(t *testing.T) { t.Parallel(); newCluster(t, binary, 2, everything...).notAlike() })
	t.Run("under faults", func(t *testing.T) {
		c := newServers(t)
		c.impatient = true
		c.follow(0)
		c.startNodes(binary, 3, everything...)
		c.underFaults()
	})
}

// cluster is several nodes with what they share. Each has wires of its own to both servers.
type cluster struct {
	testing.TB
	database *postgrestest.Server
	standby  *postgrestest.Server // nil when there is none
	standbys int                  // that there ever were
	s3       *servers.S3
	nodes    []*node

	impatient bool  // with an S3 server that is silent for two seconds
	following *wire // of the standby to the server that it follows
}

// node is a Caddy of a cluster.
type node struct {
	*server
	names  wires
	bytes  *wire
	config string
}

func newCluster(t testing.TB, binary string, size int, settings ...string) *cluster {
	c := newServers(t)
	c.startNodes(binary, size, settings...)
	return c
}

// newServers is a cluster without nodes yet.
func newServers(t testing.TB) *cluster {
	return &cluster{TB: t, database: postgresServer(t.(*testing.T)), s3: servers.StartS3(t)}
}

func (c *cluster) startNodes(binary string, size int, settings ...string) {
	c.Helper()
	for range size {
		n := &node{server: newNode(c.TB), names: c.newWires(), bytes: newWire(c.TB, c.s3.Address)}
		n.binary = binary
		n.config = n.onBoth(&postgrestest.Server{Port: n.names[0].port()}, &servers.S3{Address: n.bytes.address()}, settings...)
		n.config = strings.Replace(n.config, n.names[0].address(), n.names.hosts(), 1)
		if c.impatient {
			n.config = strings.Replace(n.config, "insecure\n", "insecure\n\t\t\ttimeout 2s\n", 1)
		}
		c.nodes = append(c.nodes, n)
		n.start(n.config)
	}
	for _, n := range c.nodes { // that open a new bucket together, and may try again
		n.in(c).eventually("every node is ready", func() bool {
			_, is := n.health()
			return is.Ready
		})
	}
}

// stopped: while a node is stopped with bytes that have no name yet, another one takes them for
// what a crash left. The publish is refused then: there is no name without bytes. Seen to answer
// 201 when PostgreSQL does not compare the age of the bytes.
func (c *cluster) stopped() {
	zombie, other := c.nodes[0], c.nodes[1]
	path := filePath("team", "p", "1", "f")
	done := make(chan answer, 1)
	go func() {
		got, err := zombie.try(http.MethodPut, path, "alice", bytes.NewReader(pattern(1, stopping)))
		if err != nil {
			c.Errorf("publishing: %v", err)
		}
		done <- got
	}()
	c.eventually("the node stops", func() bool { return isFrozen(c, zombie.process.Process.Pid) })
	if count := blobObjects(c, c.s3); count != 1 {
		c.Fatalf("%d objects, want that of the node that is stopped", count)
	}
	c.eventually("the other node sweeps the bytes", func() bool { return blobObjects(c, c.s3) == 0 })
	zombie.signal(syscall.SIGCONT)
	if got := <-done; got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		c.Errorf("publishing: %d %s, want 503 with Retry-After", got.status, got.text())
	}
	for _, n := range c.nodes {
		n.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
	}
	zombie.put(path, []byte("again"))
	other.wantBytes(path, []byte("again"))
}

// resumes: an upload in several requests goes on at another node after the one that had it was
// killed in the middle of a request, and back at the first one. Seen to answer 404 with nodes
// that know their own uploads only.
func (c *cluster) resumes() {
	first, second := c.nodes[0], c.nodes[1]
	path := filePath("team", "p", "1", "f")
	whole := pattern(1, 30_000_001)
	upload := first.beginUpload(path, uploadLength(len(whole)))
	first.want(http.StatusNoContent, http.MethodPatch, upload, "alice", whole[:7_000_000], partial, uploadOffset(0), incomplete)
	body, ended := newSlowBody(c, whole[7_000_000:]), make(chan error, 1)
	go func() {
		_, err := first.try(http.MethodPatch, upload, "alice", body, partial, uploadOffset(7_000_000), incomplete)
		ended <- err
	}()
	<-body.half
	first.kill()
	close(body.goOn)
	if err := <-ended; err == nil {
		c.Error("a node that was killed has answered")
	}
	stands := second.offset(upload)
	if stands < 7_000_000 {
		c.Errorf("the upload is at %d, and 7000000 were acknowledged", stands)
	}
	second.want(http.StatusNoContent, http.MethodPatch, upload, "alice", whole[stands:len(whole)-2], partial, uploadOffset(stands), incomplete)
	first.start(first.config)
	first.wantOffset(upload, len(whole)-2)
	first.want(http.StatusNoContent, http.MethodPatch, upload, "alice", whole[len(whole)-2:len(whole)-1], partial, uploadOffset(len(whole)-2), incomplete)
	second.want(http.StatusCreated, http.MethodPatch, upload, "alice", whole[len(whole)-1:], partial, uploadOffset(len(whole)-1), complete)
	for _, n := range c.nodes {
		n.wantBytes(path, whole)
	}
	c.wantNothingElse()
}

// notAlike: nodes with other rules than each other say so, and go on.
func (c *cluster) notAlike() {
	alike := func(want bool) {
		c.Helper()
		for _, n := range c.nodes {
			n.in(c).eventually(fmt.Sprintf("health says that rules are alike: %v", want), func() bool {
				_, is := n.health()
				return len(is.Nodes) == len(c.nodes) && is.Ready && is.Healthy == want &&
					strings.Contains(strings.Join(is.Problems, "\n"), "has other rules than this one") != want
			})
		}
	}
	alike(true)
	other := c.nodes[1]
	other.mustReload(strings.Replace(other.config, "write alice", "write alice bob", 1))
	alike(false)
	if !strings.Contains(other.logText(), "are not alike") {
		c.Error("the log does not say that nodes are not alike")
	}
	other.mustReload(other.config)
	alike(true)
}

func (c *cluster) eventually(what string, reached func() bool) {
	(&server{TB: c.TB}).eventually(what, reached) // nodes show their logs in the end
}

// faults are all that happens to a cluster, in any order, and to any of its nodes: each begins,
// and is mended.
func (c *cluster) faults(random *rand.Rand) (all []faultOfNodes) {
	n := c.nodes[random.IntN(len(c.nodes))]
	starts := func() { c.eventually("PostgreSQL starts", func() bool { return c.database.Start() == nil }) }
	bucket, away := filepath.Join(c.s3.Dir, servers.Bucket), filepath.Join(c.s3.Dir, "away")
	all = []faultOfNodes{
		{"a node is killed", n.kill, func() { n.start(n.config) }},
		{"a node reloads", func() { n.mustReload(strings.Replace(n.config, "write alice", "write alice bob", 1)) }, func() { n.mustReload(n.config) }},
		{"a node is stopped", func() { freeze(c, n.process.Process.Pid) }, func() { n.signal(syscall.SIGCONT) }},
		{"a node is cut from PostgreSQL", n.names.cut, n.names.mend},
		{"a node hears nothing of PostgreSQL", n.names.freeze, n.names.thaw},
		{"a node is cut from S3", n.bytes.cut, n.bytes.mend},
		{"a node hears nothing of S3", n.bytes.freeze, n.bytes.thaw},
		{"PostgreSQL is killed", func() { c.noError(c.database.Kill()) }, starts},
		{"PostgreSQL is stopped at once", func() { c.noError(c.database.Stop("immediate")) }, starts},
		// Seen to be not linearizable, with commits that do not wait for the standby.
		{"the standby hears nothing, and is promoted", func() { c.following.freeze() }, c.promote},
		{"S3 is killed", c.s3.Kill, func() { c.s3.Start(c) }},
		{"S3 is frozen", func() { c.s3.Freeze(c) }, func() { c.s3.Thaw(c) }},
		// Seen to log damage, with a store that takes a bucket that is gone for objects that are.
		{"the bucket is away", func() { c.move(bucket, away) }, func() { c.move(away, bucket) }},
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// move moves the bucket while nobody writes into it.
func (c *cluster) move(from, to string) {
	c.s3.Kill()
	c.noError(os.Rename(from, to))
	c.s3.Start(c)
}

type faultOfNodes struct {
	name        string
	begin, mend func()
}

func (c *cluster) noError(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// underFaults: 12 clients meet on few names of three nodes, and publish files that stay, while
// one thing after the other fails. Then there is an order of the requests in which one registry
// gives the same answers, a 503 has changed nothing, every node has every file that was
// published, with its bytes, and there is nothing else.
func (c *cluster) underFaults() {
	passes, seed := 1, uint64(1)
	if isLong() {
		passes, seed = 6, uint64(time.Now().UnixNano())
	}
	c.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kept := &keeping{contents: make(map[string][]byte)}
	var total tally
	var faults []faultOfNodes
	for range passes {
		faults = append(faults, c.faults(random)...)
	}
	for i, f := range faults {
		c.round(i, f, kept, &total)
		if c.Failed() {
			return
		}
	}
	c.Logf("%d requests were answered, %d of them refused with 503, %d were not answered; %d files stay",
		total.answered.Load(), total.refused.Load(), total.open.Load(), len(kept.contents))
	// Before anything is read again, which would heal it.
	if marked := c.query(`SELECT damage || ' ' || locator FROM generic_registry.blob WHERE damage <> ''`); len(marked) > 0 {
		c.Errorf("bytes were taken for damaged: %q", marked)
	}
	for _, n := range c.nodes {
		for path, content := range kept.contents {
			n.wantBytes(path, content)
		}
		for _, path := range kept.refused {
			n.want(http.StatusNotFound, http.MethodGet, path, "alice", nil)
		}
		if output, err := n.verify(); err != nil {
			c.Errorf("verify: %v\n%s", err, output)
		}
		n.eventually("nothing is damaged", func() bool { _, is := n.health(); return is.Damaged.Count == 0 })
	}
	c.wantNothingElse()
}

// tally counts what was heard.
type tally struct{ answered, refused, open atomic.Int64 }

// round has clients at work while something fails, and until it has not for a while.
func (c *cluster) round(number int, f faultOfNodes, kept *keeping, total *tally) {
	var heard tally
	var stop atomic.Bool
	var running sync.WaitGroup
	clients := newCallers(number, 12)
	for _, client := range clients {
		running.Go(func() {
			for !stop.Load() {
				c.request(client, kept, &heard)
			}
		})
	}
	all := func() int64 { return heard.answered.Load() + heard.open.Load() }
	more := func(what string, requests int64) {
		at := heard.answered.Load() - heard.refused.Load()
		c.eventually(what, func() bool { return heard.answered.Load()-heard.refused.Load() >= at+requests })
	}
	more("the clients are at work", 60)
	c.Logf("round %d: %s", number, f.name)
	f.begin()
	// For so many requests, or so long: those that wait for what has failed are answered when it is mended.
	until, at := time.Now().Add(time.Second+rand.N(6*time.Second)), all()
	c.eventually("the fault lasts", func() bool { return time.Now().After(until) || all() >= at+200 })
	f.mend()
	for _, n := range c.nodes {
		n.in(c).eventually("every node takes changes after "+f.name, func() bool { _, is := n.health(); return is.Ready })
	}
	more("the clients are at work again", 60)
	stop.Store(true)
	running.Wait()
	c.settled()
	end := int64(time.Since(clients[0].began))
	var history []porcupine.Operation
	for _, client := range clients {
		for _, operation := range client.operations {
			if operation.Output == (result{}) {
				operation.Return = end
			}
			history = append(history, operation)
		}
	}
	mustBeLinearizable(c.TB.(*testing.T), fmt.Sprintf("round %d, in which %s,", number, f.name), history)
	total.answered.Add(heard.answered.Load())
	total.refused.Add(heard.refused.Load())
	total.open.Add(heard.open.Load())
}

// request sends one request to any node, and keeps what came of it. What was refused with 503,
// or by nobody who listens, has not happened.
func (c *cluster) request(client *caller, kept *keeping, heard *tally) {
	n := c.nodes[client.random.IntN(len(c.nodes))]
	var got answer
	var err error
	if client.random.IntN(4) == 0 {
		got, err = kept.publish(n, client)
	} else {
		var operation porcupine.Operation
		operation, got, err = client.send(n.server, client.draw())
		if !isRefused(got, err) {
			operation.Output = resultOf(got, err)
			client.operations = append(client.operations, operation)
		}
	}
	switch {
	case isRefused(got, err):
		heard.answered.Add(1)
		heard.refused.Add(1)
		if err == nil && got.header.Get("Retry-After") == "" {
			c.Errorf("a 503 without Retry-After: %s", got.text())
		}
		time.Sleep(20 * time.Millisecond) // a client that was refused pauses, or most requests would be refusals
	case err != nil || got.status >= 500:
		heard.open.Add(1)
	default:
		heard.answered.Add(1)
	}
}

func isRefused(got answer, err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || err == nil && got.status == http.StatusServiceUnavailable
}

// keeping are files that nobody deletes.
type keeping struct {
	mu       sync.Mutex
	contents map[string][]byte
	refused  []string // with 503
	count    int
}

// publish publishes one more: some equal to others, some so large that they come in parts.
func (k *keeping) publish(n *node, client *caller) (answer, error) {
	k.mu.Lock()
	k.count++
	number := k.count
	k.mu.Unlock()
	content := pattern(number%50, 1+number%50*400)
	body := io.Reader(bytes.NewReader(content))
	if number%100 == 0 {
		content = pattern(number, 6<<20)
		body = io.MultiReader(bytes.NewReader(content)) // of a length that is not known
	}
	path := filePath("team", "kept", fmt.Sprint(client.id), fmt.Sprint("f", number))
	got, err := n.try(http.MethodPut, path, "alice", body)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case isRefused(got, err):
		k.refused = append(k.refused, path)
	case err == nil && got.status == http.StatusCreated:
		k.contents[path] = content
	}
	return got, err
}

// query asks PostgreSQL itself for texts.
func (c *cluster) query(sql string) (texts []string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.database.TCP("postgres", true))
	c.noError(err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	c.noError(err)
	texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
	c.noError(err)
	return texts
}

// settled waits until PostgreSQL has ended what nodes that are gone have sent to it.
func (c *cluster) settled() {
	c.eventually("no change is in progress", func() bool {
		return len(c.query(`SELECT pid::text FROM pg_stat_activity WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()`)) == 0
	})
}

// wantNothingElse waits until the objects of the bucket are those that have names, and no more,
// once sweeps and the reaper are done.
func (c *cluster) wantNothingElse() {
	var missing, unnamed []string
	c.eventually("every object has a name", func() bool {
		missing, unnamed = nil, nil
		left := c.s3.Objects(c)
		for _, locator := range c.query(`SELECT locator FROM generic_registry.blob`) {
			key := "registry/blobs-" + locator
			if _, ok := left[key]; !ok {
				missing = append(missing, key)
			}
			delete(left, key)
		}
		for key := range left {
			if strings.HasPrefix(key, "registry/blobs-") || strings.HasPrefix(key, "registry/uploads-") || strings.HasPrefix(key, "registry/quarantine-") {
				unnamed = append(unnamed, key)
			}
		}
		return len(missing) == 0 && len(unnamed) == 0
	})
	client, err := minio.NewCore(c.s3.Address, &minio.Options{Creds: credentials.NewStaticV4(servers.Key, servers.Secret, ""), Region: "us-east-1"})
	c.noError(err)
	c.eventually("no upload is incomplete", func() bool {
		found, err := client.ListMultipartUploads(context.Background(), servers.Bucket, "registry/blobs-", "", "", "", 1000)
		c.noError(err)
		return len(found.Uploads) == 0
	})
}
