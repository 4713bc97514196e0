// Package grant has tokens and what they grant: actions on an owner's packages. It has the
// part of the contract that a metadata store implements to keep tokens, and what a journal
// says of tokens.
package grant
