package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// request is what a receiver got.
type request struct {
	header http.Header
	body   []byte
	said   struct {
		Action  string
		Package struct {
			ID      int64
			Owner   struct{ Login string }
			Name    string
			Version string
			HTMLURL string `json:"html_url"`
		}
		Sender struct{ Login string }
		File   *struct {
			Name   string
			Size   int64
			SHA256 string
		}
	}
}

// String names what a request is about.
func (r request) String() string {
	text := fmt.Sprintf("%s %s/%s/%s", r.said.Action, r.said.Package.Owner.Login, r.said.Package.Name, r.said.Package.Version)
	if r.said.File != nil {
		text += "/" + r.said.File.Name
	}
	return text
}

// receiver takes requests, unless it is told to answer otherwise.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	taken  []request
	tries  int
	answer func(try int, w http.ResponseWriter, r *http.Request) (done bool)
}

func newReceiver(t *testing.T) *receiver {
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
		got := request{header: asked.Header}
		got.body, _ = io.ReadAll(asked.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries++
		if r.answer != nil && r.answer(r.tries, w, asked) {
			return
		}
		if err := json.Unmarshal(got.body, &got.said); err != nil || asked.Method != http.MethodPost {
			t.Errorf("the receiver got a %s of %q: %v", asked.Method, got.body, err)
		}
		r.taken = append(r.taken, got)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) texts() (texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.taken {
		texts = append(texts, one.String())
	}
	return texts
}

// world is a store and a deliverer over it, which can be ended and begun again.
type world struct {
	*testing.T
	place *memory.Metadata
	store.MetadataStore
	*webhook.Deliverer
	end  context.CancelFunc
	done sync.WaitGroup
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, place: memory.NewMetadata()}
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		w.stop()
		goleak.VerifyNone(t, leaks)
	})
	w.begin()
	return w
}

func (w *world) begin() {
	w.Helper()
	var err error
	if w.MetadataStore, err = w.place.Open(); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.end = cancel
	w.Deliverer = webhook.New(ctx, w.MetadataStore, nil, slog.New(slog.DiscardHandler))
	w.done.Go(func() { w.Deliverer.Run(ctx) })
}

func (w *world) stop() {
	w.end()
	w.done.Wait()
	if err := w.Close(); err != nil {
		w.Error(err)
	}
}

func (w *world) publish(owner, version, file string) {
	w.Helper()
	w.publishAs(owner, version, file, false)
}

func (w *world) publishAs(owner, version, file string, draft bool) {
	w.Helper()
	_, _, err := w.Publish(w.Context(), store.Publication{
		Ref:    store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: "tool", Version: version}, File: file},
		Blob:   store.Blob{Locator: store.NewLocator(1), Digest: sha256.Sum256([]byte(file)), Size: 3},
		Stored: w.Clock(), Creator: "alice", Created: time.Now(), Draft: draft,
	})
	if err != nil {
		w.Fatal(err)
	}
}

// wants waits until a receiver has taken just these.
func (w *world) wants(r *receiver, want ...string) {
	w.Helper()
	w.until("the receiver has what it should", func() bool { return len(r.texts()) >= len(want) })
	if got := r.texts(); !slices.Equal(got, want) {
		w.Fatalf("the receiver took %q, want %q", got, want)
	}
}

// untilNothingWaits waits until the answers of receivers have arrived too: a request that is cut
// before its answer is sent again.
func (w *world) untilNothingWaits() {
	w.Helper()
	w.until("nothing waits", func() bool {
		return !slices.ContainsFunc(w.Hooks(), func(hook webhook.Health) bool { return hook.Behind > 0 })
	})
}

func (w *world) until(what string, is func() bool) {
	w.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("never: %s; the hooks are %+v", what, w.Hooks())
		}
	}
}

// hookTo is a hook for all changes of an owner.
func hookTo(r *receiver, owner string) webhook.Hook {
	return webhook.Hook{Owner: owner, URL: r.URL + "/hook?key=hidden", Shown: r.URL + "/hook", Secret: "s3cret", AllowPrivate: true,
		MaxAge: webhook.DefaultMaxAge, MaxBehind: webhook.DefaultMaxBehind}
}

// TestRequestsAreThoseOfGitea: the header lines, the signatures over the body, and the keys
// in their order.
func TestRequestsAreThoseOfGitea(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	hook := hookTo(r, "alice")
	hook.Site = "https://example.com/api/packages"
	w.SetHooks([]webhook.Hook{hook})
	w.publish("Alice", "1 0", "a<b")
	w.wants(r, "created Alice/tool/1 0/a<b")
	got := r.taken[0]
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(got.body)
	signature := hex.EncodeToString(mac.Sum(nil))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Gitea-Event": "package", "X-Gitea-Event-Type": "package", "X-Github-Event": "package",
		"X-Gitea-Signature": signature, "X-Hub-Signature-256": "sha256=" + signature,
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	if id := got.header.Get("X-Gitea-Delivery"); len(id) != 36 || id != got.header.Get("X-GitHub-Delivery") {
		t.Errorf("the delivery is %q and %q, want one UUID", id, got.header.Get("X-GitHub-Delivery"))
	}
	if sum := sha256.Sum256([]byte("a<b")); got.said.File.Size != 3 || got.said.File.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("the file is %+v, want its size and digest", got.said.File)
	}
	if want := "https://example.com/api/packages/Alice/generic/tool/1%200/"; got.said.Package.HTMLURL != want || got.said.Package.ID == 0 || got.said.Sender.Login != "alice" {
		t.Errorf("the package is %+v of sender %q, want the link %s, an ID and alice", got.said.Package, got.said.Sender.Login, want)
	}
	at := 0
	for _, key := range []string{`{
  "action": `, `"repository": null`, `"package": {
    "id": `, `"owner": {
      "id": `, `"login": `, `"login_name": `, `"username": `, `"repository": null`, `"creator": {`, `"type": "generic"`, `"name": `, `"version": `, `"html_url": `, `"created_at": `,
		`"organization": null`, `"sender": {`, `"file": {`} {
		next := strings.Index(string(got.body[at:]), key)
		if next < 0 {
			t.Fatalf("%s is not behind what comes before it in Gitea's body:\n%s", key, got.body)
		}
		at += next
	}
}

// TestChangesOfAnOwnerAreTold in their order, of this owner and no other, and of drafts
// only that they are published.
//
// Seen to fail with drafts that are told, and with hooks of any owner that are told of all.
func TestChangesOfAnOwnerAreTold(t *testing.T) {
	team, others, w := newReceiver(t), newReceiver(t), newWorld(t)
	ctx, drafted := t.Context(), store.Act{User: "bob", Time: time.Now(), Only: store.Drafted}
	w.publish("team", "0", "before")
	onlyDeleted := hookTo(others, "*")
	onlyDeleted.NotCreated = true
	w.SetHooks([]webhook.Hook{hookTo(team, "Team"), onlyDeleted})
	act := store.Act{User: "bob", Time: time.Now(), Only: store.Published}
	version := func(owner, version string) store.VersionRef {
		return store.VersionRef{Owner: owner, Package: "tool", Version: version}
	}
	w.publish("team", "1", "a")
	w.publish("other", "1", "a")
	w.publishAs("team", "2", "a", true)
	w.publishAs("team", "2", "b", true)
	for _, err := range []error{
		w.DeleteFile(ctx, store.Ref{VersionRef: version("team", "2"), File: "b"}, drafted),
		w.DeleteFile(ctx, store.Ref{VersionRef: version("TEAM", "1"), File: "a"}, act),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.PublishDraft(ctx, version("team", "2"), nil, act); err != nil {
		t.Fatal(err)
	}
	w.publishAs("team", "3", "a", true)
	for _, err := range []error{
		w.DeleteVersion(ctx, version("team", "3"), drafted), w.DeleteVersion(ctx, version("team", "2"), act),
		w.DeletePackage(ctx, "other", "tool", act), w.DeletePackage(ctx, "team", "tool", act),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.wants(team, "created team/tool/1/a", "deleted TEAM/tool/1/a", "created team/tool/2", "deleted team/tool/2", "deleted team/tool/")
	w.wants(others, "deleted other/tool/")
}

// TestAReceiverThatFailsLosesNothing: each change is sent until it is taken, under one ID,
// and none overtakes another.
//
// Seen to fail with a bookmark that moves on after a failure, and with an ID for each try.
func TestAReceiverThatFailsLosesNothing(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	var ids []string
	r.answer = func(try int, w http.ResponseWriter, asked *http.Request) bool {
		ids = append(ids, asked.Header.Get("X-Gitea-Delivery"))
		switch try {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			http.Redirect(w, asked, "/elsewhere", http.StatusTemporaryRedirect)
		case 3:
			panic(http.ErrAbortHandler)
		}
		return try < 4
	}
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.publish("team", "1", "a")
	w.publish("team", "1", "b")
	w.wants(r, "created team/tool/1/a", "created team/tool/1/b")
	if len(ids) != 5 || ids[0] != ids[1] || ids[1] != ids[2] || ids[2] != ids[3] || ids[3] == ids[4] {
		t.Errorf("the IDs are %q, want one for four tries, and another one", ids)
	}
	w.until("the hook is counted", func() bool { return w.Hooks()[0].Delivered == 2 })
	hook := w.Hooks()[0]
	if hook.Failed != 3 || hook.Lost != 0 || hook.Behind != 0 || !hook.Failing.IsZero() || hook.Fault != "" || len(hook.Recent) != 5 {
		t.Errorf("the hook is %+v, want 3 failures, nothing lost, and 5 deliveries", hook)
	}
	if first := hook.Recent[0]; first.Status != 500 || first.Error == "" || first.Sequence != 1 {
		t.Errorf("the first delivery is %+v, want change 1, status 500 and an error", first)
	}
	if text := fmt.Sprintf("%+v", hook); strings.Contains(text, "hidden") || strings.Contains(text, "s3cret") {
		t.Errorf("the hook shows a secret: %s", text)
	}
}

// TestWhatWasNotToldIsToldByTheNext that opens the store; a hook that is taken away and
// comes back goes on too.
//
// Seen to fail with bookmarks that are not saved at the end.
func TestWhatWasNotToldIsToldByTheNext(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.publish("team", "1", "a")
	w.wants(r, "created team/tool/1/a")
	w.untilNothingWaits()
	w.stop()
	w.begin()
	w.publish("team", "1", "b")
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.wants(r, "created team/tool/1/a", "created team/tool/1/b")
	w.untilNothingWaits()
	w.SetHooks(nil)
	w.publish("team", "1", "c")
	if got := w.Hooks(); len(got) != 0 {
		t.Errorf("without hooks there are %+v", got)
	}
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.wants(r, "created team/tool/1/a", "created team/tool/1/b", "created team/tool/1/c")
}

// TestWebhooksThatAreConfiguredAgainSendNothingTwice, however often they are configured while
// changes are sent.
//
// Seen to fail with a hook that is begun again each time that hooks are set.
func TestWebhooksThatAreConfiguredAgainSendNothingTwice(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	var want []string
	for i := range 100 {
		w.SetHooks([]webhook.Hook{hookTo(r, "team")})
		file := fmt.Sprint("f", i)
		w.publish("team", "1", file)
		want = append(want, "created team/tool/1/"+file)
	}
	w.wants(r, want...)
}

// TestWhatAReceiverDoesNotTakeIsGivenUp beyond the limits of age and number, and counted.
// What is within them is told.
//
// Seen to fail without the limit of the number.
func TestWhatAReceiverDoesNotTakeIsGivenUp(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	r.answer = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	hook := hookTo(r, "team")
	w.SetHooks([]webhook.Hook{hook})
	for i := range 10 {
		w.publish("team", "1", fmt.Sprint("f", i))
	}
	w.until("the receiver was tried", func() bool { return w.Hooks()[0].Failed > 0 })
	w.until("10 changes wait", func() bool {
		shown := w.Hooks()[0]
		return shown.Behind == 10 && !shown.Failing.IsZero() && !shown.Waiting.IsZero()
	})
	hook.MaxBehind = 3
	w.SetHooks([]webhook.Hook{hook})
	w.until("7 changes are given up", func() bool { return w.Hooks()[0].Lost == 7 })
	r.mu.Lock()
	r.answer = nil // not before: a try in between would have the oldest change taken
	r.mu.Unlock()
	w.wants(r, "created team/tool/1/f7", "created team/tool/1/f8", "created team/tool/1/f9")
	if shown := w.Hooks()[0]; shown.Lost != 7 || shown.LostAt.IsZero() {
		t.Errorf("the hook is %+v, want 7 changes lost", shown)
	}
	hook.MaxAge = time.Nanosecond
	w.SetHooks([]webhook.Hook{hook})
	w.publish("team", "1", "old")
	w.until("the old change is given up", func() bool { return w.Hooks()[0].Lost == 8 })
	w.stop()
	w.begin()
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	if shown := w.Hooks()[0]; shown.Lost != 8 {
		t.Errorf("opened again, the hook has lost %d, want 8", shown.Lost)
	}
}

// TestAddressesThatAreNotPublicAreRefused when they are connected to, whatever the name
// said before.
//
// Seen to fail without the check of the address.
func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	hook := hookTo(r, "team")
	hook.AllowPrivate = false
	named := hook
	named.Owner, named.URL = "other", strings.Replace(hook.URL, "127.0.0.1", "localhost", 1)
	w.SetHooks([]webhook.Hook{hook, named})
	w.publish("team", "1", "a")
	w.publish("other", "1", "a")
	w.until("both hooks fail", func() bool { return w.Hooks()[0].Failed > 0 && w.Hooks()[1].Failed > 0 })
	for _, shown := range w.Hooks() {
		if !strings.Contains(shown.Fault, "allow_private") || strings.Contains(shown.Fault, "hidden") {
			t.Errorf("the fault is %q, want what helps, and no secret", shown.Fault)
		}
	}
	if got := r.texts(); len(got) != 0 {
		t.Errorf("the receiver got %q, want nothing", got)
	}
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.wants(r, "created team/tool/1/a")
}

// TestAnEndDoesNotWaitForAReceiver that does not answer.
func TestAnEndDoesNotWaitForAReceiver(t *testing.T) {
	w := newWorld(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	defer close(release)
	w.SetHooks([]webhook.Hook{{Owner: "team", URL: silent.URL, AllowPrivate: true, MaxAge: time.Hour, MaxBehind: 100}})
	w.publish("team", "1", "a")
	<-asked
	w.SetHooks(nil) // returns when the request has ended
	if got := w.Hooks(); len(got) != 0 {
		t.Errorf("there are hooks %+v", got)
	}
}

// node is one of several deliverers of a world, of which one has the duty.
type node struct {
	*webhook.Deliverer
	stop func()
}

// newNode returns a deliverer that has the duty while the holder has its name.
func (w *world) newNode(name string, holder *atomic.Pointer[string]) node {
	ctx, cancel := context.WithCancel(context.Background())
	duty := func(context.Context, time.Duration) (bool, error) { return *holder.Load() == name, nil }
	d := webhook.New(ctx, w.MetadataStore, duty, slog.New(slog.DiscardHandler))
	var done sync.WaitGroup
	done.Go(func() { d.Run(ctx) })
	return node{d, func() { cancel(); done.Wait() }}
}

// TestOneOfSeveralDelivers, and each goes on where the other one was, however often they change.
// The one that does not deliver says so.
//
// Seen to fail with bookmarks that a node reads once.
func TestOneOfSeveralDelivers(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	var holder atomic.Pointer[string]
	names := []string{"a", "b"}
	holder.Store(&names[0])
	nodes := []node{w.newNode("a", &holder), w.newNode("b", &holder)}
	for _, n := range nodes {
		defer n.stop()
		n.SetHooks([]webhook.Hook{hookTo(r, "team")})
	}
	var want []string
	for turn := range 3 {
		has, other := nodes[turn%2], nodes[(turn+1)%2]
		w.until("the duty has changed", func() bool { return !has.Hooks()[0].Elsewhere && other.Hooks()[0].Elsewhere })
		for i := range 2 {
			file := fmt.Sprint("f", turn, i)
			w.publish("team", "1", file)
			want = append(want, "created team/tool/1/"+file)
		}
		w.wants(r, want...)
		w.until("the bookmark is saved", func() bool {
			bookmarks, err := w.MetadataStore.(store.Changes).Bookmarks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, bookmark := range bookmarks {
				return bookmark.After == uint64(len(want))
			}
			return false
		})
		holder.Store(&names[(turn+1)%2])
	}
}

// withoutBookmarks does not say where hooks are.
type withoutBookmarks struct {
	store.MetadataStore
	store.Changes
}

func (withoutBookmarks) Bookmarks(context.Context) (map[string]store.Bookmark, error) {
	return nil, store.ErrUnavailable
}

// TestAHookThatCannotBegin has a fault, and is nobody else's.
//
// Seen to fail with every hook without deliveries being another process's.
func TestAHookThatCannotBegin(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	d := webhook.New(t.Context(), withoutBookmarks{w.MetadataStore, w.MetadataStore.(store.Changes)}, nil, slog.New(slog.DiscardHandler))
	d.SetHooks([]webhook.Hook{hookTo(r, "team")})
	if got := d.Hooks(); len(got) != 1 || got[0].Elsewhere || got[0].Fault == "" {
		t.Errorf("the hooks are %+v", got)
	}
}

// TestAfterARestoreNoOtherChangeHasTheIDOfAnEarlierOne, although it has the number. The same
// change has the same ID.
//
// Seen to fail with an ID of the number of the change.
func TestAfterARestoreNoOtherChangeHasTheIDOfAnEarlierOne(t *testing.T) {
	r, w := newReceiver(t), newWorld(t)
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.publish("team", "1", "kept")
	w.publish("team", "1", "lost")
	w.wants(r, "created team/tool/1/kept", "created team/tool/1/lost")
	var backup bytes.Buffer
	snapshot, err := w.MetadataStore.(store.Journaled).Snapshot(t.Context())
	if err == nil {
		defer snapshot.Close()
		err = snapshot.ReadJournal(t.Context(), 0, 1, &backup)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := w.ID()
	w.stop()
	w.place = memory.NewMetadata()
	if err := w.place.ImportJournal(t.Context(), "", id, &backup, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	w.begin()
	if err := w.MetadataStore.(store.Changes).SaveBookmarks(t.Context(), map[string]store.Bookmark{hookTo(r, "team").ID(): {}}); err != nil {
		t.Fatal(err)
	}
	w.SetHooks([]webhook.Hook{hookTo(r, "team")})
	w.publish("team", "1", "other")
	w.wants(r, "created team/tool/1/kept", "created team/tool/1/lost", "created team/tool/1/kept", "created team/tool/1/other")
	ids := make([]string, 0, len(r.taken))
	for _, request := range r.taken {
		ids = append(ids, request.header.Get("X-Gitea-Delivery"))
	}
	if ids[2] != ids[0] || ids[3] == ids[1] {
		t.Errorf("the IDs are %q, want one ID for the change that was restored, and another one for the other change", ids)
	}
}
