package access

import (
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

func TestAccess(t *testing.T) {
	rules := []OwnerRule{
		{Owner: "Public", Permissions: Permissions{Write: []string{"alice", "Bob"}}},
		{Owner: "private", Permissions: Permissions{Read: []string{"carol"}, Write: []string{"@owner"}}},
		{Owner: "team", Permissions: Permissions{Read: []string{"@users"}, Write: []string{"@users"}}},
		{Owner: "open", Permissions: Permissions{Write: []string{"*"}}},
	}
	const none = ""
	for _, test := range []struct {
		name        string
		rules       []OwnerRule
		user, owner string
		read, write bool
	}{
		{"without rules anyone reads", nil, none, "alice", true, false},
		{"without rules the owner's user writes", nil, "Alice", "aLICE", true, true},
		{"without rules another user does not write", nil, "bob", "alice", true, false},
		{"a line left out is the built-in", rules, none, "public", true, false},
		{"a user named writes, whatever the case", rules, "BOB", "PUBLIC", true, true},
		{"@owner is not implied", rules, "public", "public", true, false},
		{"a private owner is closed to anonymous", rules, none, "private", false, false},
		{"a private owner is closed to others", rules, "alice", "private", false, false},
		{"a private owner is open to a reader", rules, "carol", "private", true, false},
		{"who may write may read", rules, "private", "private", true, true},
		{"@users is any user", rules, "zoe", "team", true, true},
		{"@users is not anonymous", rules, none, "team", false, false},
		{"* writes without authentication", rules, none, "open", true, true},
		{"an owner without a rule has the built-in", rules, "dave", "dave", true, true},
		{"owner * is for the others", append(rules, OwnerRule{Owner: "*", Permissions: Permissions{Read: []string{"@users"}}}), none, "dave", false, false},
		{"owner * fills a line left out", append(rules, OwnerRule{Owner: "*", Permissions: Permissions{Read: []string{"@users"}}}), none, "public", false, false},
		{"owner * leaves a line written alone", append(rules, OwnerRule{Owner: "*", Permissions: Permissions{Read: []string{"*"}}}), none, "private", false, false},
		{"owner * without write keeps the built-in", append(rules, OwnerRule{Owner: "*", Permissions: Permissions{Read: []string{"*"}}}), "dave", "dave", true, true},
		{"an admin writes everywhere", rules, "ROOT", "private", true, true},
		{"the Kelvin sign folds to k, as in identity", nil, "\u212Aim", "kim", true, true},
		{"long s is not s", nil, "\u017Fam", "sam", true, false}, // EqualFold would say yes
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled, err := Compile(test.rules, []string{"Root"}, Republishing{})
			if err != nil {
				t.Fatal(err)
			}
			who := subject{test.user, nil}
			for action, want := range map[grant.Action]bool{
				grant.Read: test.read, grant.Write: test.write, grant.Delete: test.write,
			} {
				if got := compiled.Allows(who, action, test.owner, "p"); got != want {
					t.Errorf("%s: %v", action, got)
				}
			}
		})
	}
}

func TestExtent(t *testing.T) {
	rules := []OwnerRule{
		{Owner: "public", Permissions: Permissions{Write: []string{"alice"}}},
		{Owner: "private", Permissions: Permissions{Read: []string{"alice"}}},
		{Owner: "mixed", Permissions: Permissions{Read: []string{"*"}}, Packages: []PackageRule{
			{Package: "secret-*", Permissions: Permissions{Read: []string{"bob"}}},
			{Package: "team", Permissions: Permissions{Write: []string{"bob"}}},
		}},
		{Owner: "opened", Permissions: Permissions{Read: []string{"alice"}}, Packages: []PackageRule{
			{Package: "demo", Permissions: Permissions{Read: []string{"*"}}},
		}},
	}
	compiled, err := Compile(rules, []string{"root"}, Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, user, owner string
		what              grant.Action
		want              grant.Extent
	}{
		{"a public owner is read whole", "", "Public", grant.Read, grant.ExtentAll},
		{"nobody writes to it", "", "public", grant.Write, grant.ExtentNone},
		{"its writer does", "Alice", "public", grant.Write, grant.ExtentAll},
		{"a private owner is closed", "bob", "private", grant.Read, grant.ExtentNone},
		{"its reader reads it whole", "alice", "private", grant.Read, grant.ExtentAll},
		{"a public owner with a private package is read in part", "", "mixed", grant.Read, grant.ExtentSome},
		{"who may read that package reads it whole", "bob", "mixed", grant.Read, grant.ExtentAll},
		{"who may write to one package writes in part", "bob", "mixed", grant.Write, grant.ExtentSome},
		{"a private owner with a public package is read in part", "", "opened", grant.Read, grant.ExtentSome},
		{"an admin does everything", "ROOT", "private", grant.Delete, grant.ExtentAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := compiled.Extent(subject{test.user, nil}, test.what, test.owner); got != test.want {
				t.Errorf("the extent is %v, want %v", got, test.want)
			}
		})
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	all := []string{"*"}
	for _, test := range []struct {
		name   string
		rules  []OwnerRule
		admins []string
		says   string
	}{
		{"a package rule that says nothing", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "p"}}}}, nil, `package "p" has no rule`},
		{"a package rule without a pattern", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Permissions: Permissions{Read: all}}}}}, nil, "empty pattern"},
		{"a malformed pattern", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "[", Permissions: Permissions{Read: all}}}}}, nil, "syntax error in pattern"},
		{"a placeholder for a package", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "{env.A}", Permissions: Permissions{Read: all}}}}}, nil, "placeholders"},
		{"an unknown principal of a package", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "p", Permissions: Permissions{Read: []string{"@all"}}}}}}, nil, "unknown principal @all"},
		{"a group without a name", []OwnerRule{{Owner: "a", Permissions: Permissions{Delete: []string{"@group:"}}}}, nil, "unknown principal @group:"},
		{"a list for reading that is empty", []OwnerRule{{Owner: "a", Permissions: Permissions{Read: []string{}}}}, nil, "read: the list is empty"},
		{"a list for deleting that is empty", []OwnerRule{{Owner: "a", Permissions: Permissions{Write: all, Delete: []string{}}}}, nil, "delete: the list is empty"},
		{"a list of a package that is empty", []OwnerRule{{Owner: "a", Packages: []PackageRule{{Package: "p", Permissions: Permissions{Write: []string{}}}}}}, nil, "write: the list is empty"},
		{"a negative quota", []OwnerRule{{Owner: "a", Quota: -1}}, nil, "above zero"},
		{"a negative number of files", []OwnerRule{{Owner: "a", MaxFiles: -1}}, nil, "above zero"},
		{"a rule that says nothing", []OwnerRule{{Owner: "a"}}, nil, "no rule"},
		{"a placeholder for an owner", []OwnerRule{{Owner: "{env.A}", Permissions: Permissions{Read: []string{"*"}}}}, nil, "placeholders"},
		{"a placeholder for a principal", []OwnerRule{{Owner: "a", Permissions: Permissions{Read: []string{"{env.A}"}}}}, nil, "placeholders"},
		{"a placeholder for an admin", nil, []string{"{env.A}"}, "placeholders"},
		{"an owner twice", []OwnerRule{{Owner: "Team", Permissions: Permissions{Read: all}}, {Owner: "team", Permissions: Permissions{Read: all}}}, nil, "two rules"},
		{"owner * twice", []OwnerRule{{Owner: "*", Permissions: Permissions{Read: all}}, {Owner: "*", Permissions: Permissions{Read: all}}}, nil, "two rules"},
		{"no owner", []OwnerRule{{}}, nil, "invalid owner name"},
		{"an owner with a slash", []OwnerRule{{Owner: "a/b"}}, nil, "write owner a and in its block package b"},
		{"an unknown principal", []OwnerRule{{Owner: "a", Permissions: Permissions{Read: []string{"@all"}}}}, nil, "unknown principal @all"},
		{"an unknown principal of *", []OwnerRule{{Owner: "*", Permissions: Permissions{Write: []string{"@all"}}}}, nil, "unknown principal @all"},
		{"an empty principal", []OwnerRule{{Owner: "a", Permissions: Permissions{Write: []string{""}}}}, nil, "empty principal"},
		{"an admin that is everybody", nil, []string{"*"}, "not a user name"},
		{"an empty admin", nil, []string{""}, "not a user name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile(test.rules, test.admins, Republishing{})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %q", err, test.says)
			}
		})
	}
}

func TestAccessByPackageGroupAndAction(t *testing.T) {
	release := []string{"@group:Release", "bob"}
	rules := []OwnerRule{
		{Owner: "*", Permissions: Permissions{Read: []string{"@users"}, Delete: []string{"@group:ops"}}},
		{Owner: "team", Permissions: Permissions{Write: []string{"alice"}}, Packages: []PackageRule{
			{Package: "Release-*", Permissions: Permissions{Write: release, Delete: []string{"carol"}}},
			{Package: "secret", Permissions: Permissions{Read: []string{"bob"}}},
			{Package: "*-docs", Permissions: Permissions{Read: []string{"*"}, Write: []string{"dave"}}},
		}},
		{Owner: "own", Permissions: Permissions{Delete: []string{"erin"}}},
	}
	for _, test := range []struct {
		name, user, groups, owner, pkg string
		want                           string // the actions allowed
	}{
		{"a missing delete line is that of owner *", "alice", "", "team", "tool", "read write"},
		{"a group of owner * deletes", "zoe", "x, OPS", "team", "tool", "read delete"},
		{"a package's line replaces the owner's", "alice", "", "team", "release-1", "read"},
		{"a package's line lets others in, whatever the case", "BOB", "", "TEAM", "RELEASE-1", "read write"},
		{"a group writes where the package says so", "zoe", "release", "team", "release-1", "read write"},
		{"a group does not write elsewhere", "zoe", "release", "team", "tool", "read"},
		{"a package's own delete line", "carol", "", "team", "release-1", "read delete"},
		{"a private package is closed to other users", "carol", "", "team", "secret", ""},
		{"a private package is open to its reader", "bob", "", "team", "secret", "read"},
		{"who may write may read a private package", "alice", "", "team", "secret", "read write"},
		{"a public package of a private owner", "", "", "team", "my-docs", "read"},
		{"the first pattern that matches counts", "dave", "", "team", "release-docs", "read"},
		{"who may delete may read", "erin", "", "own", "p", "read delete"},
		{"a write line left out is the built-in", "own", "", "own", "p", "read write"},
		{"anonymous has no groups", "", "ops release", "team", "release-1", ""},
		{"a group is not a user", "release", "", "team", "release-1", "read"},
		{"a user of a group's whole word is not the group", "@group:ops", "", "team", "tool", "read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled, err := Compile(rules, nil, Republishing{})
			if err != nil {
				t.Fatal(err)
			}
			who := subject{test.user, strings.FieldsFunc(test.groups, func(r rune) bool { return r == ',' || r == ' ' })}
			var allowed []string
			for _, action := range []grant.Action{grant.Read, grant.Write, grant.Delete} {
				if compiled.Allows(who, action, test.owner, test.pkg) {
					allowed = append(allowed, string(action))
				}
			}
			if got := strings.Join(allowed, " "); got != test.want {
				t.Errorf("allowed: %q, want %q", got, test.want)
			}
		})
	}
}

func TestQuotasAreInherited(t *testing.T) {
	compiled, err := Compile([]OwnerRule{
		{Owner: "*", Quota: 100, MaxVersions: 5, MaxFiles: 7},
		{Owner: "large", Quota: 1000},
		{Owner: "Many", MaxVersions: 50},
		{Owner: "files", MaxFiles: 70},
	}, nil, Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[string]store.Quota{
		"anyone": {Bytes: 100, Versions: 5, Files: 7}, "LARGE": {Bytes: 1000, Versions: 5, Files: 7}, "many": {Bytes: 100, Versions: 50, Files: 7},
		"files": {Bytes: 100, Versions: 5, Files: 70},
	} {
		if got := compiled.Quota(owner); got != want {
			t.Errorf("%s has %+v, want %+v", owner, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	anyone, group := []string{"*"}, []string{"@group:g"}
	compiled, err := Compile([]OwnerRule{
		{Owner: "b", Permissions: Permissions{Write: anyone}},
		{Owner: "a", Permissions: Permissions{Write: []string{"alice"}, Delete: []string{"bob", "*"}}},
		{Owner: "c", Permissions: Permissions{Write: []string{"@users"}}, Packages: []PackageRule{
			{Package: "tool-*", Permissions: Permissions{Read: group}},
			{Package: "TOOL-[ab]", Permissions: Permissions{Read: anyone}},
			{Package: "tool-x", Permissions: Permissions{Read: anyone}},
			{Package: "tool", Permissions: Permissions{Read: anyone}},
			{Package: "a/b", Permissions: Permissions{Read: anyone}},
			{Package: "a b*", Permissions: Permissions{Read: anyone}},
			{Package: "o*", Permissions: Permissions{Write: anyone, Delete: []string{"carol"}}},
		}},
	}, nil, Republishing{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range compiled.Warnings(false) {
		first, _, _ := strings.Cut(w.message, ",")
		got = append(got, strings.Join(strings.Fields(w.owner+" "+w.pkg+": "+first), " "))
	}
	want := []string{
		"a : anyone may delete", "b : anyone may publish", "b : anyone may delete",
		"c tool-*: the rule names a group",
		"c TOOL-[ab]: the rule never matches: an earlier rule matches all of its packages",
		"c tool-x: the rule never matches: an earlier rule matches all of its packages",
		"c a/b: the rule never matches: no package can have such a name",
		"c a b*: the rule never matches: no package can have such a name",
		"c o*: anyone may publish",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, w := range compiled.Warnings(true) {
		if strings.Contains(w.message, "group") {
			t.Errorf("groups are known, and yet: %+v", w)
		}
	}
}

// subject is somebody whose name and groups a test gives.
type subject struct {
	name   string
	groups []string
}

func (s subject) Name() string     { return s.name }
func (s subject) Groups() []string { return s.groups }
