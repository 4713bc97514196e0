// Package client is what the commands push and pull share: the URL of a version, their flags
// and credentials, and requests to one server, which are tried again while that may help.
//
// Both commands work against every server that speaks Gitea's API of generic packages.
package client
