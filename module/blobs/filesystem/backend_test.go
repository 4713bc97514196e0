package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestTheModuleIsRegistered(t *testing.T) {
	module, err := caddy.GetModule("generic_registry.blobs.filesystem")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := module.New().(*Backend); !ok {
		t.Errorf("it makes a %T", module.New())
	}
}

func TestSettingsOfACaddyfile(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Backend
		says       string // part of the error
	}{
		{name: "the name alone", text: "filesystem"},
		{name: "an empty block", text: "filesystem {\n}"},
		{name: "both settings", text: "filesystem {\n dir /srv/blobs\n reserve 1GiB\n}", want: Backend{Dir: "/srv/blobs", Reserve: 1 << 30}},
		{name: "the order does not matter", text: "filesystem {\n reserve 5MB\n dir x\n}", want: Backend{Dir: "x", Reserve: 5_000_000}},
		{name: "a number of bytes", text: "filesystem {\n reserve 4096\n}", want: Backend{Reserve: 4096}},
		{name: "a placeholder is kept until provisioning", text: "filesystem {\n dir {env.HERE}/x\n}", want: Backend{Dir: "{env.HERE}/x"}},
		{name: "an argument", text: "filesystem /srv/blobs", says: "settings go into a block"},
		{name: "an unknown setting", text: "filesystem {\n path x\n}", says: "write dir or reserve"},
		{name: "a setting in capitals", text: "filesystem {\n Dir x\n}", says: "write dir or reserve"},
		{name: "dir twice", text: "filesystem {\n dir x\n dir y\n}", says: "dir is written twice"},
		{name: "reserve twice", text: "filesystem {\n reserve 1\n reserve 1\n}", says: "reserve is written twice"},
		{name: "dir without a value", text: "filesystem {\n dir\n}", says: "write dir with one value"},
		{name: "dir with two values", text: "filesystem {\n dir x y\n}", says: "write dir with one value"},
		{name: "no size", text: "filesystem {\n reserve much\n}", says: "write one such as 1GiB"},
		{name: "a reserve of nothing", text: "filesystem {\n reserve 0\n}", says: "write one such as 1GiB"},
		{name: "a negative reserve", text: "filesystem {\n reserve -1\n}", says: "write one such as 1GiB"},
		{name: "a reserve over 63 bits", text: "filesystem {\n reserve 10EiB\n}", says: "write one such as 1GiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got Backend
			err := got.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.text))
			if test.says == "" && (err != nil || got != test.want) {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
			if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error is %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestProvisioning(t *testing.T) {
	t.Setenv("REGISTRY_TEST_DISK", "disk")
	for _, test := range []struct {
		name string
		have Backend
		want Backend
		says string
	}{
		{name: "defaults", want: Backend{Reserve: 256 << 20}},
		{name: "settings stay", have: Backend{Dir: "x", Reserve: 1}, want: Backend{Dir: "x", Reserve: 1}},
		{name: "a placeholder is replaced", have: Backend{Dir: "{env.REGISTRY_TEST_DISK}/x", Reserve: 1}, want: Backend{Dir: "disk/x", Reserve: 1}},
		{name: "an unknown placeholder", have: Backend{Dir: "{nothing.here}"}, says: "dir: "},
		{name: "an empty placeholder", have: Backend{Dir: "{env.REGISTRY_TEST_NO_DISK}"}, says: "dir: "},
		{name: "a negative reserve", have: Backend{Reserve: -1}, says: "reserve is -1 bytes: write at least 1"},
		{name: "a reserve of no disk", have: Backend{Reserve: 1<<62 + 1}, says: "reserve is 4611686018427387905 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.have
			err := got.Provision(caddy.Context{})
			if test.says == "" && (err != nil || got != test.want) {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
			if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error is %v, want one that says %q", err, test.says)
			}
		})
	}
}

// TestProvisioningTouchesNothing: a configuration can be validated beside a
// server that runs.
func TestProvisioningTouchesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	backend := new(Backend)
	if err := backend.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(backend.Identity(root)); got != "blobs" {
		t.Errorf("the directory in the root is %s", got)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root is there: %v", err)
	}
}
