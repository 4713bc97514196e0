// Package clienttest has what the tests of push and pull share: a run of a command, and a
// server that speaks Gitea's API of generic packages and nothing beyond.
package clienttest
