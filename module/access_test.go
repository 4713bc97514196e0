package module

import (
	"strings"
	"testing"
)

func TestAccess(t *testing.T) {
	rules := []OwnerRule{
		{Owner: "Public", Write: []string{"alice", "Bob"}},
		{Owner: "private", Read: []string{"carol"}, Write: []string{"@owner"}},
		{Owner: "team", Read: []string{"@users"}, Write: []string{"@users"}},
		{Owner: "open", Write: []string{"*"}},
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
		{"owner * is for the others", append(rules, OwnerRule{Owner: "*", Read: []string{"@users"}}), none, "dave", false, false},
		{"owner * fills a line left out", append(rules, OwnerRule{Owner: "*", Read: []string{"@users"}}), none, "public", false, false},
		{"owner * leaves a line written alone", append(rules, OwnerRule{Owner: "*", Read: []string{"*"}}), none, "private", false, false},
		{"owner * without write keeps the built-in", append(rules, OwnerRule{Owner: "*", Read: []string{"*"}}), "dave", "dave", true, true},
		{"an admin writes everywhere", rules, "ROOT", "private", true, true},
		{"the Kelvin sign folds to k, as in identity", nil, "\u212Aim", "kim", true, true},
		{"long s is not s", nil, "\u017Fam", "sam", true, false}, // EqualFold would say yes
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled, err := compileAccess(test.rules, []string{"Root"})
			if err != nil {
				t.Fatal(err)
			}
			if got := compiled.mayRead(test.user, test.owner); got != test.read {
				t.Errorf("read: %v", got)
			}
			if got := compiled.mayWrite(test.user, test.owner); got != test.write {
				t.Errorf("write: %v", got)
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
		{"a rule that says nothing", []OwnerRule{{Owner: "a"}}, nil, "no rule"},
		{"a placeholder for an owner", []OwnerRule{{Owner: "{env.A}", Read: []string{"*"}}}, nil, "placeholders"},
		{"a placeholder for a principal", []OwnerRule{{Owner: "a", Read: []string{"{env.A}"}}}, nil, "placeholders"},
		{"a placeholder for an admin", nil, []string{"{env.A}"}, "placeholders"},
		{"an owner twice", []OwnerRule{{Owner: "Team", Read: all}, {Owner: "team", Read: all}}, nil, "two rules"},
		{"owner * twice", []OwnerRule{{Owner: "*", Read: all}, {Owner: "*", Read: all}}, nil, "two rules"},
		{"no owner", []OwnerRule{{}}, nil, "invalid owner name"},
		{"an owner with a slash", []OwnerRule{{Owner: "a/b"}}, nil, "invalid owner name"},
		{"an unknown principal", []OwnerRule{{Owner: "a", Read: []string{"@all"}}}, nil, "unknown principal @all"},
		{"an unknown principal of *", []OwnerRule{{Owner: "*", Write: []string{"@all"}}}, nil, "unknown principal @all"},
		{"an empty principal", []OwnerRule{{Owner: "a", Write: []string{""}}}, nil, "empty principal"},
		{"an admin that is everybody", nil, []string{"*"}, "not a user name"},
		{"an empty admin", nil, []string{""}, "not a user name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := compileAccess(test.rules, test.admins)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %q", err, test.says)
			}
		})
	}
}

func TestOpenWritesAreNamed(t *testing.T) {
	compiled, err := compileAccess([]OwnerRule{
		{Owner: "b", Write: []string{"*"}}, {Owner: "a", Write: []string{"alice", "*"}}, {Owner: "c", Write: []string{"@users"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(compiled.openWrites(), " "); got != "a b" {
		t.Errorf("open to anyone: %q", got)
	}
}
