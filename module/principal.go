package module

import (
	"errors"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// errPlaceholder: rules are compiled once. A name that looks like a placeholder
// would be taken as it stands and protect nobody.
var errPlaceholder = errors.New("placeholders do not work in rules; write the name itself")

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

// CheckPrincipal reports a word that a read or write line of a rule cannot have:
// an empty one, one with @ that has no meaning, or a placeholder.
func CheckPrincipal(word string) error {
	switch {
	case word == "":
		return fmt.Errorf("empty principal: write a user name, %s, %s or %s", principalAnyone, principalUsers, principalOwner)
	case strings.HasPrefix(word, "@") && word != principalUsers && word != principalOwner:
		return fmt.Errorf("unknown principal %s: write a user name, %s, %s or %s", word, principalAnyone, principalUsers, principalOwner)
	case strings.ContainsAny(word, "{}"):
		return fmt.Errorf("principal %s: %w", word, errPlaceholder)
	}
	return nil
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
