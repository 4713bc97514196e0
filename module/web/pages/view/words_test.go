package view

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestKindOf(t *testing.T) {
	for file, want := range map[string]string{
		"tool.tar.gz":                "",
		"signature.txt":              "",
		"tool.tar.gz.asc":            KindSignature,
		"tool.tar.gz.MINISIG":        KindSignature,
		"tool.tar.gz.sigstore.json":  KindSignature,
		"tool.tar.gz.spdx.json":      KindSBOM,
		"tool.cdx.json":              KindSBOM,
		"tool.sbom":                  KindSBOM,
		"multiple.intoto.jsonl":      KindProvenance,
		"tool.tar.gz.sha256":         KindChecksum,
		"SHA256SUMS":                 KindChecksum,
		"tool_1.0.0_checksums.txt":   KindChecksum,
		"SHA256SUMS.asc":             KindSignature,
		"tool.sha256.sigstore.json":  KindSignature,
		"data.json":                  "",
		"tool.provenance.json":       KindProvenance,
		"tool.tar.gz.sigstore.json2": "",
	} {
		if got := KindOf(file); got != want {
			t.Errorf("KindOf(%q) is %q, want %q", file, got, want)
		}
	}
}

func TestIsText(t *testing.T) {
	for file, want := range map[string]bool{
		"README": true, "README.md": true, "readme.TXT": true, "Readme.rst": true, "CHANGELOG.md": true, "CHANGES": true, "notes.txt": true,
		"README.md.asc": false, "README.html": false, "readme.pdf": false, "tool.md": false, "checksums.txt": false, "readmes": false, "tool.tar.gz": false,
	} {
		if got := IsText(file); got != want {
			t.Errorf("IsText(%q) is %v, want %v", file, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 28, 16, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		age  time.Duration
		want string
	}{
		{-time.Hour, "just now"}, {0, "just now"}, {59 * time.Second, "just now"}, {time.Minute, "1 minute ago"},
		{3 * 24 * time.Hour, "3 days ago"}, {800 * 24 * time.Hour, "2 years ago"},
	} {
		if got := (Moment{now.Add(-test.age), now}).Ago(); got != test.want {
			t.Errorf("%v ago is %q, want %q", test.age, got, test.want)
		}
	}
	moment := Moment{now.In(time.FixedZone("", 3600)), now}
	for got, want := range map[string]string{
		moment.Date(): "28 Nov 2026", moment.Exact(): "28 Nov 2026, 16:30 UTC", moment.Machine(): "2026-11-28T16:30:00Z",
		Moment{}.Date() + Moment{}.Ago() + Moment{}.Machine(): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzSegment(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		escaped := Segment(name)
		if strings.Trim(escaped, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%") != "" {
			t.Errorf("Segment(%q) is %q, which has reserved characters", name, escaped)
		}
		if back, err := url.PathUnescape(escaped); err != nil || back != name {
			t.Errorf("Segment(%q) is %q, which is unescaped to %q (%v)", name, escaped, back, err)
		}
	})
}

// TestPosixQuote has a shell read the words.
func TestPosixQuote(t *testing.T) {
	for _, word := range append(hostile, "plain", "-option", "$(run)", "`run`", "a b", "it's", "''", "~", "*", "!", "#x", "\n", "$HOME", "a;b", "a&b") {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+posixQuote(word)).Output()
		if err != nil || string(got) != word {
			t.Errorf("a shell reads %s as %q (%v), want %q", posixQuote(word), got, err, word)
		}
	}
}

func TestPowershellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"plain-1.0": "plain-1.0", "": "''", "a b": "'a b'", "it's": "'it''s'", "$env:HOME": "'$env:HOME'", "‘a’": "'‘‘a’’'", "`": "'`'", "@x": "'@x'",
	} {
		if got := powershellQuote(word); got != want {
			t.Errorf("powershellQuote(%q) is %s, want %s", word, got, want)
		}
	}
}

// TestCommands: seen to fail with a digest for PowerShell without quotes, which is no value
// behind an operator, with a name for PowerShell whose brackets are a pattern, and with the
// owner in the place of the user.
func TestCommands(t *testing.T) {
	const digest = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
	for _, test := range []struct {
		name      string
		got, want []Command
	}{
		{"a download that anyone may do", Downloads("https://example.com/p/a/generic/t/1/f.bin", "f.bin", digest, ""), []Command{
			{"curl", "curl --fail --location --output f.bin https://example.com/p/a/generic/t/1/f.bin"},
			{"wget", "wget --output-document=f.bin https://example.com/p/a/generic/t/1/f.bin"},
			{"PowerShell", "Invoke-WebRequest -OutFile f.bin -Uri https://example.com/p/a/generic/t/1/f.bin"},
			{"Checksum", "echo '" + digest + "  f.bin' | sha256sum --check"},
			{"Checksum, PowerShell", "(Get-FileHash -LiteralPath f.bin).Hash -eq '" + digest + "'"},
		}},
		{"a private file of a name like an option", Downloads("https://example.com/%2D%20f", "- f", digest, "alice"), []Command{
			{"curl", "curl --fail --location --user alice --output './- f' 'https://example.com/%2D%20f'"},
			{"wget", "wget --user alice --ask-password --output-document='./- f' 'https://example.com/%2D%20f'"},
			{"PowerShell", "Invoke-WebRequest -Credential alice -OutFile './- f' -Uri 'https://example.com/%2D%20f'"},
			{"Checksum", "echo '" + digest + "  ./- f' | sha256sum --check"},
			{"Checksum, PowerShell", "(Get-FileHash -LiteralPath './- f').Hash -eq '" + digest + "'"},
		}},
		{"a first file of nobody in particular", Publishing("https://example.com/p/", "", ""), []Command{
			{"curl", "curl --fail-with-body --user NAME --upload-file tool.tar.gz https://example.com/p/NAME/generic/tool/1.0.0/tool.tar.gz"},
			{"PowerShell", "Invoke-WebRequest -Method Put -Credential NAME -InFile tool.tar.gz -Uri https://example.com/p/NAME/generic/tool/1.0.0/tool.tar.gz"},
		}},
		{"a first file of a user", Publishing("https://example.com/p/", "", "bo b"), []Command{
			{"curl", "curl --fail-with-body --user 'bo b' --upload-file tool.tar.gz 'https://example.com/p/bo%20b/generic/tool/1.0.0/tool.tar.gz'"},
			{"PowerShell", "Invoke-WebRequest -Method Put -Credential 'bo b' -InFile tool.tar.gz -Uri 'https://example.com/p/bo%20b/generic/tool/1.0.0/tool.tar.gz'"},
		}},
		{"a first file of an owner", Publishing("https://example.com/p/", "te am", "bob"), []Command{
			{"curl", "curl --fail-with-body --user bob --upload-file tool.tar.gz 'https://example.com/p/te%20am/generic/tool/1.0.0/tool.tar.gz'"},
			{"PowerShell", "Invoke-WebRequest -Method Put -Credential bob -InFile tool.tar.gz -Uri 'https://example.com/p/te%20am/generic/tool/1.0.0/tool.tar.gz'"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if len(test.got) != len(test.want) {
				t.Fatalf("got %d commands, want %d", len(test.got), len(test.want))
			}
			for i := range test.got {
				if test.got[i] != test.want[i] {
					t.Errorf("got %q\nwant %q", test.got[i], test.want[i])
				}
			}
		})
	}
}
