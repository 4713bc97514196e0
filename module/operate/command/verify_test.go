package command

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVerifyOffline: what it prints where, and how it ends.
func TestVerifyOffline(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 4)
	out, notes, err := c.run("verify", "--offline", "--root", c.root, "--rate", "100MiB")
	if err != nil || out != "" || !strings.Contains(notes, "4 blobs, ") || !strings.Contains(notes, "0 damaged, 0 problems") {
		t.Errorf("a good registry: %v\n%s\n%s", err, out, notes)
	}
	if out, notes, err = c.run("verify", "--offline", "--root", c.root, "--sample", "0.0000001%"); err != nil || out != "" || !strings.Contains(notes, "0 blobs, ") {
		t.Errorf("a sample of next to nothing: %v\n%s\n%s", err, out, notes)
	}
	flipBit(t, largestBlob(t, filepath.Join(c.root, "blobs")))
	out, notes, err = c.run("verify", "--offline", "--root", c.root)
	if err == nil || err.Error() != errDamageFound.Error() || !strings.Contains(notes, "1 damaged") {
		t.Errorf("a flipped bit: %v\n%s", err, notes)
	}
	line := regexp.MustCompile(`^wrong digest: [0-9a-f]{64}, \d+ bytes at p0000001/[a-z2-7]{26}: bytes without the checksum that the store has of them\n$`)
	if !line.MatchString(out) {
		t.Errorf("it lists %q", out)
	}
	if aside := filesBelow(t, filepath.Join(c.root, "blobs", "quarantine")); len(aside) != 1 {
		t.Errorf("put aside is %v, want the damaged bytes", aside)
	}
	if out, _, err := c.run("verify", "--offline", "--root", c.root); err == nil || !strings.HasPrefix(out, "missing: ") {
		t.Errorf("again: %v, %q", err, out)
	}
}

// TestVerifyThatCannotCheck ends with a status of its own.
func TestVerifyThatCannotCheck(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 1)
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"no server":       {[]string{"--address", "127.0.0.1:1"}, "no admin endpoint answers"},
		"no root":         {[]string{"--offline"}, "--root"},
		"no registry":     {[]string{"--offline", "--root", c.path("none")}, "there is no registry"},
		"no rate":         {[]string{"--rate", "quick"}, "--rate"},
		"no rate at all":  {[]string{"--rate", "0"}, "--rate"},
		"no percent sign": {[]string{"--sample", "0.5"}, "such as 1%"},
		"a sample of all": {[]string{"--sample", "100%"}, "below 100%"},
		"no share":        {[]string{"--sample", "NaN%"}, "such as 1%"},
		"an argument":     {[]string{"x"}, "one word too many"},
		"an unknown flag": {[]string{"--x"}, "unknown flag"},
	} {
		out, notes, err := c.run(append([]string{"verify"}, test.arguments...)...)
		if err == nil || err.Error() != "exiting with status 2" || !strings.Contains(notes, test.says) || !strings.HasPrefix(notes, "Error: ") || out != "" {
			t.Errorf("%s: %v\n%s%s", name, err, out, notes)
		}
	}
}

func TestRebuildOffline(t *testing.T) {
	c := newCommandTest(t)
	c.publish(0, 4)
	out, notes, err := c.run("rebuild", "--root", c.root)
	if err != nil || !strings.Contains(out, "the database is rebuilt: 4 changes") || !strings.Contains(notes, "(aside "+c.root) {
		t.Errorf("%v\n%s%s", err, out, notes)
	}
	c.want(c.root)
	out, notes, err = c.run("rebuild", "--journal", "--root", c.root)
	if err != nil || !strings.Contains(out, "the journal is rebuilt: 4 changes") || !strings.Contains(notes, "(aside "+c.root) {
		t.Errorf("%v\n%s%s", err, out, notes)
	}
	c.want(c.root)
	if _, notes, err := c.run("verify", "--offline", "--root", c.root); err != nil {
		t.Errorf("verify: %v\n%s", err, notes)
	}
}
