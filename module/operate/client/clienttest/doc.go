// Package clienttest is what the tests of push and pull share: a run of a command, and a
// server that has Gitea's API of generic packages and nothing else.
package clienttest
