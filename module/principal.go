package module

import (
	"errors"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
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

	errNegativeQuota = errors.New("quota and max_versions are numbers above zero, or left out")
)

// CheckRuleOwner reports a name that a rule cannot be for.
func CheckRuleOwner(name string) error {
	if name == anyOwner {
		return nil
	}
	if strings.ContainsAny(name, "{}") {
		return errPlaceholder
	}
	return registry.CheckOwner(name)
}

// CheckPackagePattern reports a pattern that a package rule cannot be for.
func CheckPackagePattern(pattern string) (registry.Pattern, error) {
	if strings.ContainsAny(pattern, "{}") {
		return registry.Pattern{}, fmt.Errorf("package %q: %w", pattern, errPlaceholder)
	}
	parsed, err := registry.ParsePattern(pattern)
	if err != nil {
		return registry.Pattern{}, fmt.Errorf("package: %w", err)
	}
	return parsed, nil
}

// CheckPrincipal reports a word that a line of a rule cannot have: an empty one,
// one with @ that has no meaning, or a placeholder.
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
	return nil
}

func groupOf(word string) (group string, isGroup bool) {
	return strings.CutPrefix(word, principalGroup)
}

// CheckUser reports a word that is no user's name, where only those may stand.
func CheckUser(word string) error {
	if word == "" || word == principalAnyone || strings.HasPrefix(word, "@") {
		return fmt.Errorf("%q is not a user name", word)
	}
	if strings.ContainsAny(word, "{}") {
		return fmt.Errorf("user %s: %w", word, errPlaceholder)
	}
	return nil
}

// CheckBasicUser reports a name that cannot be a user's with a password: with it
// in Basic credentials, a token would be looked for.
func CheckBasicUser(name string) error {
	if name == "" || strings.HasPrefix(name, registry.TokenPrefix) {
		return fmt.Errorf("%q cannot be a user: names are not empty and do not begin with %s", name, registry.TokenPrefix)
	}
	return nil
}
