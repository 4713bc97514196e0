package integration

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const hookSecret = "hook-secret-of-the-test"

// hookReceiver is a receiver of webhooks at one address, which answers as it is told.
type hookReceiver struct {
	testing.TB
	address string
	server  *http.Server

	// status that is answered; with zero the request waits until the receiver is told
	// another.
	status atomic.Int32

	mu      sync.Mutex
	files   []string // in the order in which they came first
	lastID  int64
	seen    map[string]string // delivery to file
	repeats int
	tries   int
}

func newHookReceiver(t testing.TB) *hookReceiver {
	r := &hookReceiver{TB: t, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), seen: make(map[string]string)}
	r.status.Store(http.StatusOK)
	r.listen()
	t.Cleanup(r.stop)
	return r
}

func (r *hookReceiver) listen() {
	r.Helper()
	listener, err := net.Listen("tcp", r.address)
	if err != nil {
		r.Fatal(err)
	}
	r.server = &http.Server{Handler: r}
	go func(server *http.Server) { _ = server.Serve(listener) }(r.server) // ends with stop
}

// stop is the end of the receiver's process: nobody listens, and connections are cut.
func (r *hookReceiver) stop() { _ = r.server.Close() }

// ServeHTTP takes an event. Events of an owner come in the order of the IDs of their files;
// one that comes again has the ID of its delivery.
func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // cut by a killed server
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	if got, want := request.Header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		r.Errorf("the signature is %q, want %q", got, want)
	}
	var event struct {
		Action string
		File   struct {
			ID   int64
			Name string
		}
	}
	if err := json.Unmarshal(body, &event); err != nil {
		r.Errorf("an event is %q: %v", body, err)
	}
	r.mu.Lock()
	r.tries++
	r.mu.Unlock()
	for r.status.Load() == 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-request.Context().Done():
			return
		}
	}
	if status := int(r.status.Load()); status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delivery := request.Header.Get("X-Gitea-Delivery")
	if file, again := r.seen[delivery]; again {
		r.repeats++
		if file != event.File.Name {
			r.Errorf("delivery %s is of %s and of %s", delivery, file, event.File.Name)
		}
		return
	}
	r.seen[delivery] = event.File.Name
	r.files = append(r.files, event.File.Name)
	if event.File.ID <= r.lastID {
		r.Errorf("%s has ID %d and comes after ID %d", event.File.Name, event.File.ID, r.lastID)
	}
	r.lastID = event.File.ID
}

func (r *hookReceiver) tried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries
}

func (r *hookReceiver) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.files)
}

// hook is the words of a hook to an address.
func hookWords(address string) []string {
	return []string{"webhook http://" + address + "/hook {", "\tsecret " + hookSecret, "\tallow_private", "}"}
}

func hooked(owner, address string) []string {
	return slices.Concat([]string{"owner " + owner + " {"}, hookWords(address), []string{"}"})
}

// shownHook is a webhook as the admin endpoint shows it.
type shownHook struct {
	ID, Owner, URL, Error   string
	Elsewhere               bool
	Behind, Delivered, Lost int
	Failed                  int
	Failing                 time.Time
	Deliveries              []struct {
		File, Error, Action string
		Status              int
	}
}

func (s *server) hooks() (hooks map[string]shownHook) {
	s.Helper()
	status, body := s.fromAdmin("/generic_registry/webhooks")
	var all []shownHook
	if err := json.Unmarshal(body, &all); err != nil || status != http.StatusOK {
		s.Fatalf("webhooks: %d %s: %v", status, body, err)
	}
	if bytes.Contains(body, []byte(hookSecret)) {
		s.Errorf("the admin endpoint shows the secret: %s", body)
	}
	hooks = make(map[string]shownHook)
	for _, hook := range all {
		hooks[hook.Owner] = hook
	}
	return hooks
}

// publishTogether has some clients publish files until so many are acknowledged in all, and
// notes which.
func (s *server) publishTogether(owner string, files *acknowledgedFiles, count int) {
	s.Helper()
	var clients sync.WaitGroup
	goal := files.count() + count
	for range 8 {
		clients.Go(func() {
			for files.count() < goal {
				name := files.next()
				got, err := s.try(http.MethodPut, filePath(owner, "load", "1", name), "alice", strings.NewReader(name))
				if err == nil && got.status == http.StatusCreated {
					files.add(name)
				} else if err == nil {
					s.Errorf("%s: %d %s", name, got.status, got.text())
					return
				}
				if err != nil {
					return // the server is killed
				}
			}
		})
	}
	clients.Wait()
}

type acknowledgedFiles struct {
	mu     sync.Mutex
	serial int
	names  []string
}

func (a *acknowledgedFiles) next() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	return fmt.Sprint("f", a.serial)
}

func (a *acknowledgedFiles) add(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names = append(a.names, name)
}

func (a *acknowledgedFiles) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.names)
}

// TestWebhooksLoseNothing: while files are published, the receiver of one owner is dead,
// answers 500, and does not answer, the server is killed and started again, and the
// configuration is reloaded; that of another is never there. All that was acknowledged is
// delivered, in its order, and nobody waits for a receiver. Seen to fail with bookmarks that do
// not survive the kill, and with a bookmark that passes a change before the receiver has taken it.
func TestWebhooksLoseNothing(t *testing.T) {
	t.Parallel()
	count := 40 // in each of six phases
	if isLong() {
		count = 1667
	}
	s, r, files := newServer(t), newHookReceiver(t), new(acknowledgedFiles)
	dead := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	site := s.site(slices.Concat(hooked("alice", r.address), hooked("bob", dead), []string{"admin alice"})...)
	s.start(site)
	s.want(201, http.MethodPut, filePath("bob", "load", "1", "f"), "alice", []byte("x"))
	publish := func() {
		t.Helper()
		s.publishTogether("alice", files, count)
	}
	publish()
	s.eventually("the receiver takes events", func() bool { return len(r.taken()) == files.count() })

	tried := r.tried()
	r.status.Store(http.StatusInternalServerError)
	publish()
	s.eventually("the receiver is asked, and answers 500", func() bool { return r.tried() > tried })
	r.status.Store(http.StatusOK)
	publish()

	r.stop() // as its process is killed
	publish()
	s.eventually("the receiver is missed", func() bool { return s.hooks()["alice"].Error != "" })
	s.mustReload(s.site(slices.Concat(hooked("alice", r.address), hooked("bob", dead), []string{"admin alice", "max_file_size 1MiB"})...))

	killed := make(chan struct{})
	go func() {
		defer close(killed)
		s.publishTogether("alice", files, 1<<30)
	}()
	before := files.count()
	s.eventually("files are published", func() bool { return files.count() >= before+count })
	s.kill()
	<-killed
	r.listen()
	r.status.Store(0)
	s.start(site)
	s.eventually("the registry is open again", func() bool { status, _ := s.health(); return status == http.StatusOK })
	tried = r.tried()
	publish()
	s.eventually("the receiver is asked, and does not answer", func() bool { return r.tried() > tried })
	r.status.Store(http.StatusOK)

	acknowledged := files.names
	s.eventually("all files are told", func() bool { return len(r.taken()) >= len(acknowledged) && s.hooks()["alice"].Behind == 0 })
	taken := make(map[string]bool)
	for _, file := range r.taken() {
		taken[file] = true
	}
	for _, file := range acknowledged {
		if !taken[file] {
			t.Errorf("%s was acknowledged, and is not told", file)
		}
	}
	hooks := s.hooks()
	if hook := hooks["alice"]; hook.Lost != 0 || len(hook.Deliveries) == 0 || hook.Deliveries[0].Status != 200 {
		t.Errorf("alice's hook is %+v, want nothing lost, and deliveries", hook)
	}
	if hook := hooks["bob"]; hook.Delivered != 0 || hook.Failed == 0 || hook.Failing.IsZero() || hook.Lost != 0 || !strings.Contains(hook.Error, "refused") {
		t.Errorf("bob's hook is %+v, want one that fails and has lost nothing", hook)
	}
	for _, event := range hooks["bob"].Deliveries {
		if event.File != "f" || event.Action != "created" {
			t.Errorf("bob's hook tells of %+v, want the one file of bob's", event)
		}
	}
	if strings.Contains(s.logText(), hookSecret) {
		t.Error("the log has the secret")
	}
	t.Logf("%d files acknowledged, %d told, %d of them again", len(acknowledged), len(taken), r.repeats)
}

// TestWebhooksOverReloads: hooks are added, taken away and set again while files are
// published; each file of a hook that stays is told once, and nothing is left running.
func TestWebhooksOverReloads(t *testing.T) {
	t.Parallel()
	s, r, files := newServer(t), newHookReceiver(t), new(acknowledgedFiles)
	site := func(i int, more ...string) string {
		return s.site(append(append(hooked("alice", r.address), fmt.Sprintf("max_file_size %dMiB", i+1)), more...)...)
	}
	s.start(site(0))
	s.publishTogether("alice", files, 20) // what a first publish opens stays open
	s.eventually("the first files are told", func() bool { return len(r.taken()) >= files.count() && s.hooks()["alice"].Behind == 0 })
	s.mustReload(s.site())
	before := s.holds()
	s.mustReload(site(0))
	for i := range 6 {
		var more []string
		if i%2 == 0 {
			more = hooked("*", r.address)
		}
		s.publishTogether("alice", files, 20)
		s.mustReload(site(i, more...))
	}
	s.eventually("all files are told", func() bool { return len(r.taken()) >= files.count() })
	if r.repeats > 0 || len(r.taken()) != files.count() {
		t.Errorf("%d files are told, %d of them again; %d were published", len(r.taken()), r.repeats, files.count())
	}
	s.mustReload(s.site())
	s.wantHolds(before)
}

// TestADeadReceiverIsNotWaitedFor tells what a receiver costs publishes, in rounds that take
// turns. Seen to fail with publishes that wait until a receiver has taken the change: the dead
// one makes them 503.
func TestADeadReceiverIsNotWaitedFor(t *testing.T) {
	rounds, count := 1, 100
	if isLong() {
		rounds, count = 6, 2000
	} else {
		t.Parallel()
	}
	s, silent, live, files := newServer(t), newHookReceiver(t), newHookReceiver(t), new(acknowledgedFiles)
	silent.status.Store(0)
	s.faults = append(s.faults, "a webhook gives up changes") // of a hook that is away while others take turns
	dead := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	kinds := map[string][]string{"none": nil, "a dead one": hooked("alice", dead), "a silent one": hooked("alice", silent.address), "one that answers": hooked("alice", live.address)}
	s.start(s.site())
	took := make(map[string]time.Duration)
	for range rounds {
		for _, kind := range []string{"none", "a dead one", "a silent one", "one that answers"} {
			s.mustReload(s.site(kinds[kind]...))
			began := time.Now()
			s.publishTogether("alice", files, count)
			took[kind] += time.Since(began)
		}
	}
	for kind := range kinds {
		t.Logf("%s: %.0f publishes per second, %.3f of those without a receiver", kind, float64(rounds*count)/took[kind].Seconds(), took["none"].Seconds()/took[kind].Seconds())
	}
}

// TestWebhooksToThisMachine are refused unless they are allowed; the log and health say why
// without the secret. Seen to fail without the check of the address, with a URL that is shown
// whole, with an error that has the URL, and with a log that has it.
func TestWebhooksToThisMachine(t *testing.T) {
	t.Parallel()
	s, r := newServer(t), newHookReceiver(t)
	s.start(s.site("owner alice {", "webhook http://localhost:"+strings.TrimPrefix(r.address, "127.0.0.1:")+"/hook?key="+hookSecret, "}"))
	s.put(filePath("alice", "p", "1", "f"), []byte("x"))
	s.eventually("the hook fails", func() bool { return s.hooks()["alice"].Failed > 0 })
	hook := s.hooks()["alice"]
	if !strings.Contains(hook.Error, "allow_private") || r.tried() > 0 {
		t.Errorf("the hook's error is %q, and the receiver was asked %d times; want allow_private, and never", hook.Error, r.tried())
	}
	if strings.Contains(s.logText(), hookSecret) || !strings.Contains(s.logText(), "allow_private") {
		t.Error("the log has the secret, or not what helps")
	}
}
