// Package clienttest has a server for the tests of push and pull that speaks Gitea's API of
// generic packages, and nothing beyond.
package clienttest
