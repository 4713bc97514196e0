package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// provision provisions a backend, and returns what is logged of it.
func provision(t *testing.T, b *Backend) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	return b.Provision(ctx)
}

// TestSecretsStaySecret: no error, no identity and no address has the password. Seen to fail
// with what the library says of a text that it cannot parse.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2"
	for name, dsn := range map[string]string{
		"a URL":                       "postgres://u:hunter2@db.example.com:5433/r",
		"a URL with a bad port":       "postgres://u:hunter2@db.example.com:port/r",
		"a URL with a bad setting":    "postgres://u:hunter2@db.example.com/r?sslmode=maybe",
		"a URL with a bad escape":     "postgres://u:hunter2%@db.example.com/r",
		"pairs":                       "host=db.example.com user=u password=hunter2 dbname=r",
		"pairs with a bad setting":    "host=db.example.com user=u password=hunter2 sslmode=maybe",
		"pairs with a quote too many": "host=db.example.com user=u password='hunter2",
		"a word":                      "hunter2",
		"two words":                   "hunter2 hunter2",
		"a bad host list":             "postgres://u:hunter2@a,b:x/r",
		"a password of another":       "postgres://u@db.example.com/r?password=hunter2",
		"a password with a space":     "host=db.example.com user=u password=a hunter2 dbname=r",
		"a password with an &":        "postgres://u@db.example.com/r?password=a&hunter2",
		"spaces around the =":         "host=db.example.com user=u password = hunter2 port=x",
		"a bad port and a password":   "postgres://u@db.example.com:1/r?password=hunter2&port=x",
	} {
		t.Run(name, func(t *testing.T) {
			b := &Backend{DSN: dsn}
			if err := provision(t, b); err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error is %q", err)
				}
				return
			}
			if text := b.Identity(""); strings.Contains(text, secret) {
				t.Errorf("the identity is %q", text)
			}
		})
	}
}

func TestPlaceholdersAreReplaced(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REGISTRY_DSN", "postgres://u:other@db.example.com:5433,db2.example.com/r")
	b := &Backend{DSN: "{env.REGISTRY_DSN}", Password: "{file." + secret + "}"}
	if err := provision(t, b); err != nil {
		t.Fatal(err)
	}
	if b.Password != "of a file" {
		t.Errorf("the password is %q", b.Password)
	}
	if got, want := b.Identity("/any"), "postgres db.example.com:5433,db2.example.com:5432/r/generic_registry"; got != want {
		t.Errorf("the identity is %q, want %q", got, want)
	}
	other := &Backend{DSN: "{env.REGISTRY_DSN}", Schema: "other"}
	if err := provision(t, other); err != nil {
		t.Fatal(err)
	}
	if other.Identity("/any") == b.Identity("/any") {
		t.Error("two schemas are one store")
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	const dsn = "postgres://u@db.example.com/r"
	for name, test := range map[string]struct {
		b    Backend
		want string
	}{
		"no dsn":                    {Backend{}, "dsn is missing"},
		"a dsn of nothing":          {Backend{DSN: "{env.REGISTRY_NOTHING}"}, "dsn: evaluated placeholder"},
		"a dsn that is a word":      {Backend{DSN: "database"}, "dsn: "},
		"negative connections":      {Backend{DSN: dsn, Connections: -1}, "connections is -1"},
		"far too many connections":  {Backend{DSN: dsn, Connections: 1001}, "connections is 1001"},
		"a schema that is too long": {Backend{DSN: dsn, Schema: strings.Repeat("s", 64)}, "schema has 64 bytes"},
		"a schema with NUL":         {Backend{DSN: dsn, Schema: "a\x00"}, "schema has 2 bytes"},
		"a file that is not there":  {Backend{DSN: dsn, Password: "{file./nowhere/at/all}"}, "password: "},
	} {
		t.Run(name, func(t *testing.T) {
			if err := provision(t, &test.b); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// TestPlainSecrets: which configurations have a password in them that anyone can read.
func TestPlainSecrets(t *testing.T) {
	t.Setenv("REGISTRY_DSN", "postgres://u:secret@db.example.com/r")
	t.Setenv("REGISTRY_PASSWORD", "secret")
	for name, test := range map[string]struct {
		b     Backend
		plain bool
	}{
		"a password":                        {Backend{DSN: "postgres://u@h/r", Password: "secret"}, true},
		"a password of the environment":     {Backend{DSN: "postgres://u@h/r", Password: "{env.REGISTRY_PASSWORD}"}, false},
		"none":                              {Backend{DSN: "postgres://u@h/r"}, false},
		"one in a URL":                      {Backend{DSN: "postgres://u:secret@h/r"}, true},
		"one in pairs":                      {Backend{DSN: "host=h password=secret"}, true},
		"a URL of the environment":          {Backend{DSN: "{env.REGISTRY_DSN}"}, false},
		"a URL with one of the environment": {Backend{DSN: "postgres://u:{env.REGISTRY_PASSWORD}@h/r"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			written := test.b
			if err := provision(t, &test.b); err != nil {
				t.Fatal(err)
			}
			if got := written.hasPlainSecret(&test.b); got != test.plain {
				t.Errorf("plain: %v, want %v", got, test.plain)
			}
		})
	}
}
