package client

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/term"
)

// SecretVariable is the environment variable that has the token or the password.
const SecretVariable = "GENERIC_REGISTRY_TOKEN"

// secretFlags are the flags of the credentials.
type secretFlags struct{ user, file string }

// authorization returns the value of the header Authorization, with the secret of the file
// or of the environment. It is empty where neither has one. With a user the secret is sent as
// a password (RFC 7617), without a user as a bearer token (RFC 6750).
func (s secretFlags) authorization(user string) (string, error) {
	secret := os.Getenv(SecretVariable)
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

// prompter asks a person for the secret.
type prompter struct {
	in  io.Reader
	out io.Writer
}

// IsPerson tells whether an input is a terminal, so that a person can be asked.
func IsPerson(in io.Reader) bool {
	file, isFile := in.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// advice says how the secret is given where nobody can be asked.
const advice = "write the token to the environment variable " + SecretVariable + ", or to a file for --token-file; with --user it is a password"

// ask asks for the secret. An empty answer means that there is none.
func (p prompter) ask(user, host string) (string, error) {
	file, isFile := p.in.(*os.File)
	if !isFile || !IsPerson(file) {
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

// Advised adds to an error of status 401 how the secret is given.
func Advised(err error) error {
	if Status(err) == http.StatusUnauthorized {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}
