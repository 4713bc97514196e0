package access

import (
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// FuzzAccess: rules that compile mean what a plain reading of them means, for any
// user and owner. A rule is a line: owner, readers, writers, deleters, separated by
// |; names by commas.
func FuzzAccess(f *testing.F) {
	for _, rules := range []string{
		"", "Public||alice,Bob", "private|carol|@owner", "team|@users|@users\nopen||*", "*|@users|", "*||*\nalice|alice|", "*|alice|@users\nbob||carol",
		"k||\u212A", "\u0130|i|@owner", "*|*|*\n**||@owner", "a|alice@example.com|b c", "alice||bob", "A||x\na||y", "a||@Owner", "{o}||*", "a||alice|bob", "*|||carol\na||alice", "a|@users||*",
	} {
		for _, user := range []string{"", "alice", "ALICE", "ROOT", "\u017Fam", "*", "@owner", "@users"} {
			f.Add(rules, "Root", user, "alice")
			f.Add(rules, "", user, "Public")
			f.Add(rules, "alice,bob", user, "*")
		}
		f.Add(rules, "", "k", "\u212A")
	}
	f.Fuzz(func(t *testing.T, text, adminList, user, owner string) {
		rules, admins := rulesOf(text), namesOf(adminList)
		compiled, err := Compile(rules, admins, Republishing{})
		if err != nil {
			return
		}
		want := plainRules{rules, admins}
		may := func(what grant.Action, user, owner string) bool {
			return compiled.Allows(subject{user, nil}, what, owner, "p")
		}
		mayRead, mayWrite, mayDelete := may(grant.Read, user, owner), may(grant.Write, user, owner), may(grant.Delete, user, owner)
		if mayRead != want.read(user, owner) {
			t.Errorf("%q reads %q: %v", user, owner, mayRead)
		}
		if mayWrite != want.write(user, owner) {
			t.Errorf("%q writes %q: %v", user, owner, mayWrite)
		}
		if mayDelete != want.delete(user, owner) {
			t.Errorf("%q deletes %q: %v", user, owner, mayDelete)
		}
		isOpen := slices.ContainsFunc(rules, func(r OwnerRule) bool { return slices.Contains(slices.Concat(r.Write, r.Delete), "*") })
		if (may(grant.Write, "", owner) || may(grant.Delete, "", owner)) && !isOpen {
			t.Errorf("anyone changes %q, and no rule says so", owner)
		}
		if isOpen && len(compiled.Warnings(true)) == 0 {
			t.Error("open to anyone, and nobody is warned of it")
		}
		if same := strings.ToLower; may(grant.Read, same(user), same(owner)) != mayRead || may(grant.Write, same(user), same(owner)) != mayWrite {
			t.Errorf("in lower case %q has other rights on %q", user, owner)
		}
	})
}

func rulesOf(text string) (rules []OwnerRule) {
	for line := range strings.Lines(text) {
		owner, lists, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		read, lists, _ := strings.Cut(lists, "|")
		write, deleted, _ := strings.Cut(lists, "|")
		rules = append(rules, OwnerRule{Owner: owner, Permissions: Permissions{Read: namesOf(read), Write: namesOf(write), Delete: namesOf(deleted)}})
	}
	return rules
}

func namesOf(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// plainRules reads rules as they are documented, each time anew.
type plainRules struct {
	rules  []OwnerRule
	admins []string
}

func (p plainRules) read(user, owner string) bool {
	return p.write(user, owner) || p.delete(user, owner) || listed(p.line(owner, func(r OwnerRule) []string { return r.Read }, "*"), user, owner)
}

func (p plainRules) delete(user, owner string) bool {
	deleters := p.line(owner, func(r OwnerRule) []string { return r.Delete }, "")
	if len(deleters) == 1 && deleters[0] == "" {
		return p.write(user, owner)
	}
	isAdmin := slices.ContainsFunc(p.admins, func(admin string) bool { return sameName(admin, user) })
	return isAdmin || listed(deleters, user, owner)
}

func (p plainRules) write(user, owner string) bool {
	isAdmin := slices.ContainsFunc(p.admins, func(admin string) bool { return sameName(admin, user) })
	return isAdmin || listed(p.line(owner, func(r OwnerRule) []string { return r.Write }, "@owner"), user, owner)
}

// line is the owner's own line, else that of owner *, else the built-in.
func (p plainRules) line(owner string, of func(OwnerRule) []string, builtIn string) []string {
	others := []string{builtIn}
	for _, r := range p.rules {
		line := of(r)
		switch {
		case len(line) == 0:
		case r.Owner == "*":
			others = line
		case sameName(r.Owner, owner):
			return line
		}
	}
	return others
}

func listed(line []string, user, owner string) bool {
	return slices.ContainsFunc(line, func(word string) bool {
		switch word {
		case "*":
			return true
		case "@users":
			return user != ""
		case "@owner":
			return user != "" && sameName(user, owner)
		}
		return !strings.HasPrefix(word, "@group:") && sameName(word, user)
	})
}

// sameName is identity, which is not strings.EqualFold.
func sameName(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return a == b
}
