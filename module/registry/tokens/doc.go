// Package tokens makes, checks and revokes the tokens of a registry, and gathers when each was
// last used. A token is stored as the digest of its secret: nobody can find its text again.
package tokens
