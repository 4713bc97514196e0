package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// pictures is an environment variable: a folder for a picture of each page that axe looks at.
const pictures = "GENERIC_REGISTRY_PICTURES"

// tab is one of a browser.
type tab struct {
	testing.TB
	ctx context.Context // ends when nothing goes forward any more
	// forward says that something went forward.
	forward func()
}

// chromium starts a browser that ends with the test, and returns what opens a tab that is
// used by a function.
func chromium(t testing.TB) (open func(t testing.TB, use func(tab))) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	first, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(first); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return func(t testing.TB, use func(tab)) {
		t.Helper()
		opened, end := chromedp.NewContext(first)
		defer end()
		if err := chromedp.Do(opened); err != nil {
			t.Fatalf("opening a tab: %v", err)
		}
		bounded, cancel := context.WithCancel(opened)
		defer cancel()
		idle := time.AfterFunc(2*patience, cancel)
		defer idle.Stop()
		use(tab{t, bounded, func() { idle.Reset(2 * patience) }})
	}
}

// act does something in a tab.
func act[T any](t tab, action chromedp.Action[T]) T {
	t.Helper()
	result, err := chromedp.Run(t.ctx, action)
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	t.forward()
	return result
}

// set gives a tab a command of the protocol.
func set[P, R any](t tab, command cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(t.ctx, command, params); err != nil {
		t.Fatalf("chromium: %v", err)
	}
}

// eval is what a script says in the end.
func eval[T any](t tab, script string) T {
	t.Helper()
	return act(t, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// payloads run a script, or change what a page is, wherever a page forgets to escape.
var payloads = []string{
	`<script>window.ran=1</script>`, `"><script>window.ran=1</script>`, `<img src=x onerror="window.ran=1">`, `'><svg onload=window.ran=1>`,
	`" autofocus onfocus="window.ran=1" x="`, `javascript:window.ran=1`, `</title><script>window.ran=1</script>`,
	`</style><script>window.ran=1</script>`, `</script><script>window.ran=1</script>`, `<!--<script>`, `--><script>window.ran=1</script>`,
	"${window.ran=1}", `{{window.ran=1}}`, `&lt;script&gt;window.ran=1&lt;/script&gt;`, `<iframe srcdoc="<script>parent.window.ran=1</script>">`,
	`<base href="//evil.example/">`, `<meta http-equiv=refresh content="0;url=javascript:window.ran=1">`, `<form action="javascript:window.ran=1"><button>`,
	`data:text/html,<script>window.ran=1</script>`, `<object data=x><embed src=x>`, `</pre></details></main><script>window.ran=1</script>`, `'-(window.ran=1)-'`,
}

// strangers is a script that lists what no page has: a script that ran, elements that are
// not the page's, handlers, and links that are not to a folder, a file or this page.
const strangers = `[
	...(document.querySelector("main") ? [] : ["no page"]),
	...(window.ran ? ["a script ran"] : []),
	...[...document.querySelectorAll("img, svg, iframe, base, meta[http-equiv], object, embed, link:not([rel=icon])")].map(e => e.outerHTML),
	...[...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => /^on|^style$/.test(a.name))).map(e => e.outerHTML),
	...[...document.links].filter(a => a.protocol != "http:" || a.host != location.host).map(a => a.outerHTML),
	...(document.scripts.length == 1 ? [] : ["scripts: " + document.scripts.length]),
	...[...document.forms].filter(f => f.className != "search" && f.className != "upload" && !f.closest("#delete")).map(f => f.outerHTML),
]`

// TestNoNameRunsInChromium: versions, owners and the texts of files are what publishers
// like. Chromium is told to ignore the policy of the pages, which would stop a script too.
// Seen to fail with text/template in place of html/template.
func TestNoNameRunsInChromium(t *testing.T) {
	t.Parallel()
	names, every := 22, 11 // each payload is in a name; every so many are looked at on pages of their own
	if isLong() {
		names, every = 1000, 1
	}
	s := startServer(t, "browse", "file_names gitea", "owner * {\n\t\t\twrite alice\n\t\t}")
	random := rand.New(rand.NewPCG(1, 2))
	var folders []string
	for published := 0; published < names; {
		pkg := fmt.Sprintf("%salice/generic/tool-%d/", api, published)
		folders = append(folders, pkg)
		for range min(50, names-published) {
			name := payloads[published%len(payloads)] + payloads[random.IntN(len(payloads))] + strconv.Itoa(published)
			version := pkg + url.PathEscape(name[:min(len(name), 250)]) + "/"
			s.put(version+"README.md", []byte(strings.Join(payloads, "\n")))
			if published%every == 0 {
				folders = append(folders, version)
			}
			published++
		}
	}
	for i, payload := range payloads {
		owner := api + url.PathEscape(strings.ReplaceAll(payload, "/", "|")) + "/"
		s.put(owner+"generic/tool/1/=&;("+strconv.Itoa(i)+").txt", []byte(strings.Join(payloads[i:], "\n")))
		if i%every == 0 {
			folders = append(folders, owner, owner+"generic/tool/1/", owner+"generic/%3Cscript%3E/")
		}
	}
	hostile := url.QueryEscape(strings.Join(payloads[:8], ""))
	folders = append(folders, api, api+"?after="+hostile, api+"alice/?q="+hostile, folders[0]+"?sort="+hostile+"&after="+hostile, folders[1]+"?file="+hostile)
	open := chromium(t)
	open(t, func(tab tab) {
		set(tab, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
		for _, folder := range folders {
			act(tab, chromedp.Navigate(address(s, folder)))
			if found := eval[[]string](tab, strangers); len(found) > 0 {
				t.Errorf("%s has %q", folder, found)
			}
		}
	})
	open(t, func(tab tab) {
		set(tab, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
		tab.signIn(s.port)
		local := t.TempDir()
		for i, folder := range folders {
			if i%every != 0 || strings.Contains(folder, "?") {
				continue
			}
			tab.goTo(s.port, folder+"?edit")
			name := filepath.Join(local, strings.ReplaceAll(payloads[i%len(payloads)], "/", "|"))
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			act(tab, chromedp.SetUploadFiles("input[multiple]", []string{name}))
			tab.until(`document.querySelector("#told").textContent != ""`)
			if found := eval[[]string](tab, strangers); len(found) > 0 {
				t.Errorf("the page of writers of %s has %q", folder, found)
			}
		}
	})
	t.Logf("%d names on %d pages", names, len(folders))
}

// TestPagesInChromium: without scripts all is there; with them there is a button to copy
// each digest and command, which copies; nothing is wider than a phone; nothing else is
// asked for; and axe finds nothing.
func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	s := startFolders(t)
	version := versionPath("alice", "tool", "1.0.0") + "/"
	long := filePath("alice", strings.Repeat("long", 60), strings.Repeat("1.", 120)+"0", strings.Repeat("f", 250))
	s.put(long, []byte("content"))
	folders := []string{api, api + "alice/", api + "alice/?q=none", api + "alice/generic/tool/", version, version + "?file=tool.tar.gz", api + "alice/generic/none/",
		path.Dir(path.Dir(long)) + "/", path.Dir(long) + "/"}
	open := chromium(t)
	t.Run("without scripts", func(t *testing.T) {
		open(t, func(tab tab) {
			set(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			act(tab, chromedp.Navigate(address(s, version)))
			text := act(tab, chromedp.Text("main"))
			for _, want := range []string{"tool.tar.gz", "SHA-256", "curl --fail", "content of ", "sha256sum --check"} {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not say %q:\n%s", want, text)
				}
			}
			if strings.Contains(act(tab, chromedp.OuterHTML("main")), "<button") {
				t.Error("the page has a button that does nothing")
			}
		})
	})
	t.Run("copies", func(t *testing.T) {
		open(t, func(tab tab) {
			act(tab, chromedp.Navigate(address(s, version)))
			if got, want := eval[int](tab, `document.querySelectorAll(".copy").length`), 3+5+1; got != want { // files, commands, and that of the latest
				t.Errorf("the page has %d buttons, want %d", got, want)
			}
			// The page would take back soon that it has copied.
			eval[bool](tab, `navigator.clipboard.writeText = async text => { window.copied = text }, window.setTimeout = () => {}, true`)
			act(tab, chromedp.Click(".commands div:nth-child(4) .copy"))
			act(tab, chromedp.WaitVisible(`//button[text()="Copied"]`))
			// Screen readers say the name of the button, and what comes into a status. Seen to fail
			// with a button whose text alone changes.
			if heard := eval[string](tab, `document.querySelector("[role=status].said").textContent + ", " + document.activeElement.ariaLabel`); !strings.HasPrefix(heard, "Copied, Copied the command for ") {
				t.Errorf("screen readers say %q", heard)
			}
			copied, shown := eval[string](tab, "copied"), act(tab, chromedp.Text(".commands div:nth-child(4) code"))
			if copied != shown || !strings.Contains(copied, "  tool.tar.gz' | sha256sum --check") {
				t.Errorf("copied %q, want the command %q", copied, shown)
			}
		})
	})
	t.Run("in one request", func(t *testing.T) {
		open(t, func(tab tab) {
			act(tab, chromedp.Navigate(address(s, version)))
			if asked := eval[[]string](tab, `performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))`); len(asked) > 0 {
				t.Errorf("the page asked for %q besides", asked)
			}
		})
	})
	t.Run("on a phone", func(t *testing.T) {
		open(t, func(tab tab) {
			act(tab, chromedp.EmulateViewport(360, 800))
			for _, folder := range folders {
				act(tab, chromedp.Navigate(address(s, folder)))
				if widths := eval[string](tab, "document.documentElement.scrollWidth + ' ' + innerWidth"); widths != "360 360" {
					t.Errorf("the width of %s and that of its window are %s, want 360 360", folder, widths)
				}
			}
		})
	})
	eachLook(t, open, func(t tab) {
		for _, folder := range folders {
			act(t, chromedp.Navigate(address(s, folder)))
			t.passesAxe(folder)
		}
	})
}

// eachLook uses a tab for each scheme of colours and width of a window, of which two stand for
// all but in the long run.
func eachLook(t *testing.T, open func(testing.TB, func(tab)), use func(tab)) {
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1280} {
			if !isLong() && os.Getenv(pictures) == "" && (scheme == "dark") != (width == 360) {
				continue
			}
			t.Run(fmt.Sprintf("for axe, %s, %d pixels", scheme, width), func(t *testing.T) {
				open(t, func(tab tab) {
					set(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
					act(tab, chromedp.EmulateViewport(width, 900))
					use(tab)
				})
			})
		}
	}
}

// axeScript finds what people who do not see a page, or use no mouse, would miss.
var axeScript = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("npm", "root", "--global").Output()
	if err != nil {
		return "", fmt.Errorf("looking for axe: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "axe-core", "axe.min.js"))
	return string(text), err
})

// passesAxe holds that axe finds nothing on a page, which is as wide as its window and came in
// one answer of at most 40 KiB.
func (t tab) passesAxe(page string) {
	t.Helper()
	t.takePicture(page)
	const loaded = `[performance.getEntriesByType("navigation")[0].encodedBodySize, ...performance.getEntriesByType("resource").filter(e => e.initiatorType != "xmlhttprequest" && !e.name.startsWith("data:")).map(e => e.name)]`
	if came := eval[[]any](t, loaded); len(came) != 1 || came[0].(float64) < 1000 || came[0].(float64) > 40<<10 {
		t.Errorf("%s came as %v, want a page of at most 40 KiB, and nothing else", page, came)
	}
	axe, err := axeScript()
	if err != nil {
		t.Fatal(err)
	}
	act(t, chromedp.Evaluate[chromedp.Void](axe))
	passed := eval[int](t, `axe.run().then(found => { window.found = found; return found.passes.length })`)
	violations := eval[[]struct {
		ID    string
		Nodes []struct{ HTML, FailureSummary string }
	}](t, "found.violations")
	if len(violations) > 0 || passed < 10 {
		t.Errorf("of %s axe says %+v; %d rules passed", page, violations, passed)
	}
	if wide := eval[bool](t, "document.documentElement.scrollWidth > innerWidth"); wide {
		t.Errorf("%s is wider than its window", page)
	}
}

// takePicture keeps how a page looks, where that is asked for.
func (t tab) takePicture(page string) {
	t.Helper()
	folder := os.Getenv(pictures)
	if folder == "" {
		return
	}
	picture := act(t, chromedp.FullScreenshot(100))
	name := regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(t.Name()+" "+page, "-")
	if length := len(name); length > 200 {
		name = name[:150] + name[length-50:]
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}
