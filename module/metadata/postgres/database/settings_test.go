package database

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// TestAdjustTakesOtherConnections: a password and a number of connections too are other
// settings. Seen to fail with settings that are compared by their connection strings alone.
func TestAdjustTakesOtherConnections(t *testing.T) {
	settings := func(password string, connections int) *Settings {
		made, err := NewSettings("postgres://u@db.example.com/r", password, "s", connections)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := settings("a", 8)
	pool, err := pgxpool.NewWithConfig(t.Context(), first.pool.Copy()) // connects to nothing yet
	if err != nil {
		t.Fatal(err)
	}
	d := new(Database)
	d.settings.Store(first)
	d.pool.Store(pool)
	t.Cleanup(func() {
		d.pool.Load().Close()
		d.pools.Wait()
	})
	for _, test := range []struct {
		name string
		with *Settings
	}{{"another number of connections", settings("a", 2)}, {"another password", settings("b", 2)}} {
		t.Run(test.name, func(t *testing.T) {
			with := test.with
			if err := d.Adjust(with); err != nil {
				t.Fatal(err)
			}
			got := d.pool.Load().Config()
			if got.MaxConns != with.pool.MaxConns || got.ConnConfig.Password != with.pool.ConnConfig.Password {
				t.Errorf("%d connections with the password %q, want %d with %q", got.MaxConns, got.ConnConfig.Password, with.pool.MaxConns, with.pool.ConnConfig.Password)
			}
		})
	}
	if before := d.pool.Load(); d.Adjust(d.settings.Load()) != nil || d.pool.Load() != before {
		t.Error("the same settings make other connections")
	}
}

// TestTimesOfHosts: a silent host leaves a read the time to ask the next one.
func TestTimesOfHosts(t *testing.T) {
	for name, test := range map[string]struct {
		dsn  string
		want time.Duration
	}{
		"one host":                            {"postgres://u@a.example.com/r", 5 * time.Second},
		"one host, with TLS if it has that":   {"postgres://u@a.example.com/r?sslmode=prefer", 5 * time.Second},
		"two hosts":                           {"postgres://u@a.example.com,b.example.com/r", 2 * time.Second},
		"two ports of a host":                 {"host=a.example.com,a.example.com port=5432,5433 user=u dbname=r", 2 * time.Second},
		"two hosts and a time of their own":   {"postgres://u@a.example.com,b.example.com/r?connect_timeout=7", 7 * time.Second},
		"a host whose name looks like a time": {"postgres://u@connect_timeout.example.com/r", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := NewSettings(test.dsn, "", "s", 8)
			if err != nil {
				t.Fatal(err)
			}
			if got := made.pool.ConnConfig.ConnectTimeout; got != test.want {
				t.Errorf("a host has %v, want %v", got, test.want)
			}
		})
	}
}
