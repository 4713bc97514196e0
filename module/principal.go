package module

import (
	"fmt"
	"strings"
)

// CheckPrincipal reports a word that a read or write line of a rule cannot have:
// an empty one, or one with @ that has no meaning.
func CheckPrincipal(word string) error {
	if word == "" {
		return fmt.Errorf("empty principal: write a user name, %s, %s or %s", principalAnyone, principalUsers, principalOwner)
	}
	if strings.HasPrefix(word, "@") && word != principalUsers && word != principalOwner {
		return fmt.Errorf("unknown principal %s: write a user name, %s, %s or %s", word, principalAnyone, principalUsers, principalOwner)
	}
	return nil
}

// CheckUser reports a word that is no user's name, where only those may stand.
func CheckUser(word string) error {
	if word == "" || word == principalAnyone || strings.HasPrefix(word, "@") {
		return fmt.Errorf("%q is not a user name", word)
	}
	return nil
}
