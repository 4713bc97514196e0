package access

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// Principals that are not user names.
const (
	principalAnyone = "*"
	principalUsers  = "@users"
	principalOwner  = "@owner"
	principalGroup  = "@group:" // and the group's name
)

// principalForms says what a principal can be.
const principalForms = "a user name, " + principalAnyone + ", " + principalUsers + ", " + principalOwner + " or " + principalGroup + "<name>"

var (
	// errPlaceholder: rules are compiled once. A name that looks like a placeholder
	// would be taken as it stands and protect nobody.
	errPlaceholder = errors.New("placeholders do not work in rules; write the name itself")

	// errOwnerPattern: a rule for an owner of such a name would be for nobody.
	errOwnerPattern = errors.New("an owner's name has no *: write the name, or owner * for every owner without a block; only package takes patterns")

	errNegativeQuota = errors.New("quota, max_versions and max_files must be above zero, or be left out")
)

// CheckRuleOwner reports a name that a rule cannot be for.
func CheckRuleOwner(name string) error {
	if name == anyOwner {
		return nil
	}
	if strings.ContainsAny(name, "{}") {
		return errPlaceholder
	}
	if strings.Contains(name, "*") {
		return errOwnerPattern
	}
	if owner, pkg, isPackage := strings.Cut(name, "/"); isPackage {
		return fmt.Errorf("an owner's name has no /: write owner %s and in its block package %s", cmp.Or(owner, "<name>"), cmp.Or(pkg, "<pattern>"))
	}
	return naming.CheckOwner(name)
}

// CheckPackagePattern reports a pattern that a package rule cannot be for.
func CheckPackagePattern(pattern string) (naming.Pattern, error) {
	if strings.ContainsAny(pattern, "{}") {
		return naming.Pattern{}, fmt.Errorf("package %q: %w", pattern, errPlaceholder)
	}
	parsed, err := naming.ParsePattern(pattern)
	if err != nil {
		return naming.Pattern{}, fmt.Errorf("package: %w", err)
	}
	return parsed, nil
}

// meant says what was meant by words that would be taken for names of users.
var meant = map[string]string{
	"all": principalAnyone, "any": principalAnyone, "anonymous": principalAnyone, "anybody": principalAnyone,
	"anyone": principalAnyone, "everybody": principalAnyone, "everyone": principalAnyone, "public": principalAnyone,
	"authenticated": principalUsers, "users": principalUsers,
	"owner": principalOwner,
	"none":  "the name of an administrator", "nobody": "the name of an administrator", "noone": "the name of an administrator",
}

// checkMeant reports a word that is hardly meant as the name of a user.
func checkMeant(word string) error {
	folded := store.Fold(word)
	if instead, ok := meant[folded]; ok {
		return fmt.Errorf("%s would mean a user of that name: write %s", word, instead)
	}
	for _, prefix := range []string{"group:", "groups:", "@groups:"} {
		if group, ok := strings.CutPrefix(folded, prefix); ok {
			return fmt.Errorf("%s would mean a user of that name: write %s%s", word, principalGroup, cmp.Or(group, "<name>"))
		}
	}
	if user, ok := strings.CutPrefix(folded, "user:"); ok {
		return fmt.Errorf("%s would mean a user of that name: write %s", word, cmp.Or(user, "the name alone"))
	}
	if strings.Contains(word, ",") && !strings.Contains(word, "=") { // but for subjects of certificates
		return fmt.Errorf("%s would mean a user of that name: write %s, with spaces between", word, strings.Join(strings.FieldsFunc(word, func(r rune) bool { return r == ',' }), " "))
	}
	if word != principalAnyone && strings.Contains(word, "*") {
		return fmt.Errorf("%s would mean a user of that name: principals have no patterns; write %s", word, principalForms)
	}
	return nil
}

// CheckPrincipal reports a word that a line of a rule cannot have: an empty one,
// one with @ that has no meaning, a placeholder, or what is hardly a user's name.
func CheckPrincipal(word string) error {
	if word == "" {
		return fmt.Errorf("empty principal: write %s", principalForms)
	}
	if strings.ContainsAny(word, "{}") {
		return fmt.Errorf("principal %s: %w", word, errPlaceholder)
	}
	group, isGroup := groupOf(word)
	known := word == principalUsers || word == principalOwner || isGroup && group != ""
	if strings.HasPrefix(word, "@") && !known {
		return fmt.Errorf("unknown principal %s: write %s", word, principalForms)
	}
	return checkMeant(word)
}

func groupOf(word string) (group string, isGroup bool) {
	return strings.CutPrefix(word, principalGroup)
}

// userForms says what to write where only users may stand.
const userForms = "only users can be written here, not groups; write the names of users, with spaces between"

// CheckUser reports a word that is no user's name, where only those may stand.
func CheckUser(word string) error {
	if word == "" || word == principalAnyone || strings.HasPrefix(word, "@") {
		return fmt.Errorf("%q is not a user name: %s", word, userForms)
	}
	if strings.ContainsAny(word, "{}") {
		return fmt.Errorf("user %s: %w", word, errPlaceholder)
	}
	if checkMeant(word) != nil {
		return fmt.Errorf("%s is probably no name of a user: %s", word, userForms)
	}
	return nil
}

// CheckBasicUser reports a name that cannot be a user's with a password: with it
// in Basic credentials, a token would be looked for.
func CheckBasicUser(name string) error {
	if store.FoldsIntoASCII(name) {
		return fmt.Errorf("%q cannot be a user: a letter looks like an ASCII letter, and would be taken for it", name)
	}
	if name == "" || strings.HasPrefix(name, grant.Prefix) {
		return fmt.Errorf("%q cannot be a user: names are not empty and do not begin with %s", name, grant.Prefix)
	}
	return nil
}
