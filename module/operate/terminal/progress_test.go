package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestProgressIsShownNowAndThen(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// run shows four steps, three times each: at one moment a step is shown once.
	run := func(terminal bool) string {
		var out bytes.Buffer
		now := began
		line := NewLine(&out)
		line.terminal, line.shown, line.now = terminal, began, func() time.Time { return now }
		for done := range int64(4) {
			now = now.Add(2500 * time.Millisecond)
			for range 3 {
				line.Show(Step{What: "verifying", Unit: "blob", Done: done + 1, Total: 4})
			}
		}
		line.End()
		return out.String()
	}
	if got, want := run(false), "verifying: 50% of 4 blobs\nverifying: 100% of 4 blobs\n"; got != want {
		t.Errorf("in a log: got %q, want %q", got, want)
	}
	got := run(true)
	for _, want := range []string{" 25% ", " 50% ", " 75% ", " 99% ", "verifying: 4 blobs"} {
		if !strings.Contains(got, want) {
			t.Errorf("on a terminal: got %q, want %q in it", got, want)
		}
	}
	if strings.Contains(got, "\n") || !strings.HasSuffix(got, clearLine) {
		t.Errorf("on a terminal: got %q, want one line that is cleared at the end", got)
	}
}

// clearLine is what clears the line of a terminal.
const clearLine = "\x1b[2K\r"

func TestNotesAreWrittenAboveTheBar(t *testing.T) {
	var out bytes.Buffer
	line := NewLine(&out)
	line.terminal, line.shown = true, time.Time{}
	line.Show(Step{What: "verifying", Unit: "blob", Done: 1, Total: 2})
	fmt.Fprintln(line, "warning: look")
	if got, want := out.String(), clearLine+"warning: look\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}

func TestStepsInWords(t *testing.T) {
	for name, test := range map[string]struct {
		step         Step
		line, beside string
	}{
		"half of what is known": {
			Step{What: "verifying", Unit: "blob", Done: 1, Bytes: 512, Total: 2000, TotalBytes: 1024, Note: "3 damaged"},
			"verifying: 50% of 2,000 blobs, 1.0 KiB, 3 damaged", "verifying: 2,000 blobs, 1.0 KiB, 3 damaged",
		},
		"more than was expected": {
			Step{What: "backing up", Unit: "blob", Done: 3, Bytes: 4096, Total: 2, TotalBytes: 1024},
			"backing up: 100% of 2 blobs, 1.0 KiB", "backing up: 2 blobs, 1.0 KiB",
		},
		"empty files have no bytes": {
			Step{What: "backing up", Unit: "blob", Done: 1, Total: 4},
			"backing up: 25% of 4 blobs", "backing up: 4 blobs",
		},
		"the total is not known": {
			Step{What: "restoring x", Unit: "blob", Done: 1, Bytes: 1024},
			"restoring x: 1 blob, 1.0 KiB", "restoring x: 1 blob, 1.0 KiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.step.String(); got != test.line {
				t.Errorf("as a line: got %q, want %q", got, test.line)
			}
			if got := test.step.beside(); got != test.beside {
				t.Errorf("beside a bar: got %q, want %q", got, test.beside)
			}
		})
	}
}
