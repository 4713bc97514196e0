package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/database"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/nodes"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(&Backend{}) }

const (
	defaultSchema      = "generic_registry"
	defaultConnections = 16
	mostConnections    = 1000
	longestIdentifier  = 63 // bytes, of PostgreSQL
)

// Backend keeps metadata in a PostgreSQL database, version 15 or newer, in UTF-8. It makes
// its tables itself, in a schema of their own. It suits a registry whose metadata must not
// be lost with one machine.
type Backend struct {
	// Where the database is: a URL (`postgres://user@host/database`) or `key=value` pairs in
	// the form of libpq (PostgreSQL's documentation, section "Connection Strings"). With
	// several hosts, the one that takes changes is used. A single host has 5 seconds to
	// answer, each of several has 2, unless `connect_timeout` says otherwise. Placeholders are
	// replaced when the config is loaded. Required.
	DSN string `json:"dsn"`

	// The password, which takes the place of the password in the DSN. Placeholders are
	// replaced when the config is loaded. It takes effect on a reload. Default: none.
	Password string `json:"password,omitempty"`

	// The schema of the tables. A schema that does not exist is made. Placeholders are
	// replaced when the config is loaded. Default: `generic_registry`.
	Schema string `json:"schema,omitempty"`

	// The connections for reads, 1 to 1000. The registry uses two more for other work. Zero
	// means the default, 16. It takes effect on a reload.
	Connections int `json:"connections,omitempty"`

	settings *database.Settings
}

// CaddyModule returns the Caddy module information.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "generic_registry.metadata.postgres",
		New: func() caddy.Module { return new(Backend) },
	}
}

// Provision implements caddy.Provisioner.
func (b *Backend) Provision(ctx caddy.Context) error {
	written := *b
	replacer := caddy.NewReplacer()
	for name, setting := range map[string]*string{"dsn": &b.DSN, "password": &b.Password, "schema": &b.Schema} {
		replaced, err := replacer.ReplaceOrErr(*setting, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*setting = replaced
	}
	b.Password = strings.TrimRight(b.Password, "\r\n")
	if b.DSN == "" {
		return errors.New("dsn is missing: write where the database is, such as postgres://user@host/database")
	}
	if b.Schema == "" {
		b.Schema = defaultSchema
	}
	if len(b.Schema) > longestIdentifier || strings.ContainsRune(b.Schema, 0) {
		return fmt.Errorf("schema has %d bytes: write at most %d, without NUL", len(b.Schema), longestIdentifier)
	}
	if b.Connections == 0 {
		b.Connections = defaultConnections
	}
	if b.Connections < 1 || b.Connections > mostConnections {
		return fmt.Errorf("connections is %d: write 1 to %d, or leave it out for %d", b.Connections, mostConnections, defaultConnections)
	}
	var err error
	if b.settings, err = database.NewSettings(b.DSN, b.Password, b.Schema, b.Connections); err != nil {
		return fmt.Errorf("dsn: %w: write a URL such as postgres://user@host/database, or key=value pairs", err)
	}
	if written.hasPlainSecret(b) {
		ctx.Slogger().Warn("the password of the database is written in the configuration: write a placeholder such as {env.REGISTRY_PASSWORD} or {file./run/secrets/postgres}")
	}
	return nil
}

// hasPlainSecret tells whether a password is in the configuration itself.
func (b *Backend) hasPlainSecret(replaced *Backend) bool {
	if b.Password != "" {
		return b.Password == replaced.Password
	}
	if b.DSN != replaced.DSN {
		return false
	}
	at, err := url.Parse(b.DSN)
	if err == nil && at.User != nil {
		_, has := at.User.Password()
		return has || at.Query().Has("password")
	}
	return strings.Contains(b.DSN, "password")
}

// UnmarshalCaddyfile sets up the backend from Caddyfile tokens:
//
//	postgres {
//		dsn         <url or key=value>
//		password    <text>
//		schema      <name>
//		connections <number>
//	}
func (b *Backend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected %q after postgres: settings go into a block", d.Val())
	}
	texts := map[string]*string{"dsn": &b.DSN, "password": &b.Password, "schema": &b.Schema}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if texts[word] == nil && word != "connections" {
			return d.Errf("unknown setting %q of postgres: write dsn, password, schema or connections", word)
		}
		if seen[word] {
			return d.Errf("%s is written twice: keep one", word)
		}
		seen[word] = true
		var value string
		if !d.Args(&value) || value == "" || d.NextArg() {
			return d.Errf("write %s with one value; put quotes around one with spaces", word)
		}
		if to := texts[word]; to != nil {
			*to = value
			continue
		}
		number, err := strconv.Atoi(value)
		if err != nil || number < 1 || number > mostConnections {
			return d.Errf("connections %q is not a number from 1 to %d", value, mostConnections)
		}
		b.Connections = number
	}
	if b.DSN == "" {
		return d.Err("postgres has no dsn: write dsn with where the database is, such as postgres://user@host/database")
	}
	return nil
}

// Identity implements store.MetadataBackend.
func (b *Backend) Identity(string) string {
	return "postgres " + b.settings.Address() + "/" + b.Schema
}

// OpenMetadata implements store.MetadataBackend.
func (b *Backend) OpenMetadata(ctx context.Context, _ string, log *slog.Logger) (store.MetadataStore, error) {
	db, err := database.Open(ctx, b.settings, log)
	if err != nil {
		return nil, fmt.Errorf("opening the metadata in PostgreSQL at %s: %w", b.settings.Address(), err)
	}
	return &Store{nodes.New(db), changes.New(db), db}, nil
}

// TellsChanges says that the stores are store.Changes, as module.ChangesBackend.
func (*Backend) TellsChanges() {}

// AdjustMetadata implements store.MetadataAdjuster.
func (b *Backend) AdjustMetadata(metadata store.MetadataStore) error {
	s, ok := metadata.(*Store)
	if !ok {
		return fmt.Errorf("adjusting metadata store: %T is not a PostgreSQL store", metadata)
	}
	return s.db.Adjust(b.settings)
}

var (
	_ caddy.Provisioner      = (*Backend)(nil)
	_ caddyfile.Unmarshaler  = (*Backend)(nil)
	_ store.MetadataBackend  = (*Backend)(nil)
	_ store.MetadataAdjuster = (*Backend)(nil)
)
