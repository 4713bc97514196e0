package push

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// secretVariable is the environment variable that has the token or the password.
const secretVariable = "GENERIC_REGISTRY_TOKEN"

// secretFlags say who pushes.
type secretFlags struct{ user, file string }

// authorization returns the header that says who asks, from a file, the environment, or
// else nothing. With a user it is a password or a token of RFC 7617, without one a bearer
// token.
func (s secretFlags) authorization(user string) (string, error) {
	secret := os.Getenv(secretVariable)
	if s.file != "" {
		text, err := os.ReadFile(s.file)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		if secret = strings.TrimSpace(string(text)); secret == "" {
			return "", fmt.Errorf("the file %s has no token", s.file)
		}
	}
	return authorizationOf(user, secret)
}

func authorizationOf(user, secret string) (string, error) {
	switch {
	case secret == "":
		return "", nil
	case strings.ContainsAny(secret, "\r\n"):
		return "", errors.New("the token has several lines")
	case user == "":
		return "Bearer " + secret, nil
	case strings.Contains(user, ":"):
		return "", errors.New("the user has a colon, which Basic authentication cannot send")
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret)), nil
}

// prompter asks a person for the secret, where there is one.
type prompter struct {
	in  io.Reader
	out io.Writer
}

// isPerson tells whether somebody can be asked.
func (p prompter) isPerson() bool {
	file, isFile := p.in.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// advice says how the secret is given where nobody can be asked.
const advice = "write the token to the environment variable " + secretVariable + ", or to a file for --token-file; with --user it is a password"

// ask asks for the secret. What is left empty is none.
func (p prompter) ask(user, host string) (string, error) {
	file, isFile := p.in.(*os.File)
	if !isFile || !p.isPerson() {
		return "", fmt.Errorf("%s wants to know who asks: %s", host, advice)
	}
	whose := "Token"
	if user != "" {
		whose = "Password or token of " + user
	}
	fmt.Fprintf(p.out, "%s for %s: ", whose, host)
	secret, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(p.out)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return authorizationOf(user, strings.TrimSpace(string(secret)))
}
