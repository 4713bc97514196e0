package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// TestRepublishing: who deletes and replaces what, where rules surround each other.
func TestRepublishing(t *testing.T) {
	yes, no := true, false
	everybody := Permissions{Write: []string{"alice"}, Delete: []string{"alice", "bob"}}
	compiled, err := Compile([]OwnerRule{
		{Owner: "*", Republishing: Republishing{OnDuplicate: OnDuplicateReplace}},
		{Owner: "plain", Permissions: everybody},
		{Owner: "fixed", Permissions: everybody, Republishing: Republishing{Immutable: &yes}, Packages: []PackageRule{
			{Package: "nightly", Republishing: Republishing{Immutable: &no}},
			{Package: "strict", Republishing: Republishing{OnDuplicate: OnDuplicateReject}},
		}},
		{Owner: "same", Permissions: everybody, Republishing: Republishing{OnDuplicate: OnDuplicateSame}},
	}, []string{"root"}, Republishing{OnDuplicate: OnDuplicateSame})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, user, owner, pkg string
		want                   store.OnDuplicate
		immutable, deletes     bool
	}{
		{"an owner's line left out is that of owner *", "alice", "plain", "p", store.Replace, false, true},
		{"an owner without a rule has that of owner *", "x", "x", "p", store.Replace, false, true},
		{"an owner's own line", "alice", "SAME", "p", store.Same, false, true},
		{"what is immutable is not replaced", "alice", "fixed", "p", store.Replace, true, false},
		{"who may only delete does not delete what is immutable", "bob", "fixed", "p", store.Replace, true, false},
		{"an admin replaces and deletes what is immutable", "ROOT", "fixed", "p", store.Replace, false, true},
		{"a package can be taken out", "alice", "fixed", "Nightly", store.Replace, false, true},
		{"a package's own line", "root", "fixed", "strict", store.Reject, false, true},
		{"a package of an immutable owner", "alice", "fixed", "strict", store.Reject, true, false},
		{"nobody deletes what is immutable", "", "fixed", "p", store.Replace, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			who := subject{test.user, nil}
			if got, immutable := compiled.Republishing(who, test.owner, test.pkg); got != test.want || immutable != test.immutable {
				t.Errorf("a publish does %v, and what is published is immutable: %v; want %v, %v", got, immutable, test.want, test.immutable)
			}
			if got := compiled.Allows(who, grant.Delete, test.owner, test.pkg); got != test.deletes {
				t.Errorf("deletes: %v, want %v", got, test.deletes)
			}
		})
	}
	if !compiled.Allows(subject{"bob", nil}, grant.Read, "fixed", "p") {
		t.Error("who may delete does not read what is immutable")
	}
	if got := compiled.Extent(subject{"alice", nil}, grant.Delete, "fixed"); got != grant.ExtentSome {
		t.Errorf("of an immutable owner with a package that is not, alice deletes %v", got)
	}
}

// TestRepublishingThatCannotBe: in a block of any kind.
func TestRepublishingThatCannotBe(t *testing.T) {
	yes := true
	nobody := Republishing{OnDuplicate: OnDuplicateReplace, Immutable: &yes}
	for name, in := range map[string]func(Republishing, []string) error{
		"the handler": func(r Republishing, admins []string) error {
			_, err := Compile(nil, admins, r)
			return err
		},
		"an owner": func(r Republishing, admins []string) error {
			_, err := Compile([]OwnerRule{{Owner: "a", Republishing: r}}, admins, Republishing{})
			return err
		},
		"owner *": func(r Republishing, admins []string) error {
			_, err := Compile([]OwnerRule{{Owner: "*", Republishing: r}}, admins, Republishing{})
			return err
		},
		"a package": func(r Republishing, admins []string) error {
			_, err := Compile([]OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "p", Republishing: r}}}}, admins, Republishing{})
			return err
		},
	} {
		if err := in(nobody, nil); !errors.Is(err, ErrNobodyReplaces) {
			t.Errorf("%s without an admin: error is %v", name, err)
		}
		if err := in(nobody, []string{"root"}); err != nil {
			t.Errorf("%s with an admin: %v", name, err)
		}
		if err := in(Republishing{OnDuplicate: "overwrite"}, nil); err == nil || !strings.Contains(err.Error(), "write reject, same or replace") {
			t.Errorf("%s with an unknown word: error is %v", name, err)
		}
	}
}

// TestWarningOfReplacing: whoever may replace may do what deleting and publishing does.
func TestWarningOfReplacing(t *testing.T) {
	yes := true
	for _, test := range []struct {
		name          string
		write, delete []string
		immutable     *bool
		want          bool
	}{
		{name: "who writes deletes", write: []string{"alice"}},
		{name: "the same users delete", write: []string{"Alice", "@group:g"}, delete: []string{"@group:G", "alice", "bob"}},
		{name: "any user deletes", write: []string{"alice", "@owner"}, delete: []string{"@users"}},
		{name: "fewer users delete", write: []string{"alice", "bob"}, delete: []string{"bob"}, want: true},
		{name: "a group less deletes", write: []string{"@group:g"}, delete: []string{"bob"}, want: true},
		{name: "the owner does not delete", write: []string{"@owner"}, delete: []string{"bob"}, want: true},
		{name: "not all users delete", write: []string{"@users"}, delete: []string{"bob"}, want: true},
		{name: "nobody without authentication deletes", write: []string{"*"}, delete: []string{"@users"}, want: true},
		{name: "only admins replace what is immutable", write: []string{"alice", "bob"}, delete: []string{"bob"}, immutable: &yes},
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled, err := Compile([]OwnerRule{{
				Owner: "a", Permissions: Permissions{Write: test.write, Delete: test.delete}, Republishing: Republishing{Immutable: test.immutable},
			}}, nil, Republishing{OnDuplicate: OnDuplicateReplace})
			if err != nil {
				t.Fatal(err)
			}
			warned := false
			for _, w := range compiled.Warnings(true) {
				warned = warned || strings.Contains(w.message, "may replace")
			}
			if warned != test.want {
				t.Errorf("warned: %v, want %v", warned, test.want)
			}
		})
	}
}
