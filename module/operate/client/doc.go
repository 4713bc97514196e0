// Package client is what the commands push and pull share: the URL of a version, flags and
// credentials, and requests to one server, which are tried again after faults that can
// pass.
//
// Both commands work against every server that speaks Gitea's API of generic packages.
package client
