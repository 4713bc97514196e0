package module

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

func TestProgressIsShownNowAndThen(t *testing.T) {
	for _, test := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"in a log", false, "at 5s\nat 10s\n"},
		{"on a terminal", true, "\rat 2.5s\rat 5s  \rat 7.5s\rat 10s \r      \r"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			now := began
			line := newProgressLine(&out)
			line.terminal, line.shown, line.now = test.terminal, began, func() time.Time { return now }
			for range 4 {
				now = now.Add(2500 * time.Millisecond)
				for range 3 { // at the same moment it is shown once
					line.show(func() string { return "at " + now.Sub(began).String() })
				}
			}
			line.end()
			if out.String() != test.want {
				t.Errorf("shown is %q, want %q", out.String(), test.want)
			}
		})
	}
}

func TestProgressBar(t *testing.T) {
	half := registry.VerifyProgress{Blobs: 1, Bytes: 512, TotalBlobs: 2000, TotalBytes: 1024, Damaged: 3}
	if got, want := progressBar(half, false), " 50% of 2,000 blobs, 1.0 KiB, 3 damaged"; got != want {
		t.Errorf("bar is %q, want %q", got, want)
	}
	if got, want := progressBar(half, true), "[###############...............]  50% of"; !strings.HasPrefix(got, want) {
		t.Errorf("bar is %q, want %q", got, want)
	}
	more := half
	more.Bytes = 2048 // published meanwhile
	for _, whole := range []registry.VerifyProgress{more, {}} {
		if got := progressBar(whole, true); !strings.HasPrefix(got, "["+strings.Repeat("#", barWidth)+"] 100%") {
			t.Errorf("bar is %q", got)
		}
	}
	if got := amount(1, "blob", -1); got != "1 blob, 0 B" {
		t.Errorf("amount is %q", got)
	}
}
