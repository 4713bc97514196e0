// Package tokens makes, checks and revokes the tokens of a registry, and records when each
// was last used. A token is stored as the digest of its secret, so that nobody can recover
// its text.
package tokens
